/** The menu behind the half-moon: theme, sizes, screen reader mode. Native radios and a range; every change shows at once. */
import { need } from "./dom.js";
import { prefs, setPrefs } from "./prefs.js";
import { applyTheme, onTheme } from "./theme.js";

export function mountSettings() {
  onTheme(applyTheme);
  applyTheme();
  const menu = need("#settings");
  for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (menu.querySelectorAll("input"))) {
    const { name } = input;
    if (input.type === "radio") input.checked = prefs.theme === input.value;
    else if (input.type === "checkbox") input.checked = prefs.reader;
    else input.value = String(name === "text" ? prefs.text : prefs.terminal);
    input.addEventListener("input", () => {
      if (name === "theme") setPrefs({ theme: /** @type {any} */ (input.value) });
      if (name === "text") setPrefs({ text: Number(input.value) });
      if (name === "terminal") setPrefs({ terminal: Number(input.value) });
      if (name === "reader") setPrefs({ reader: input.checked });
    });
  }
}

/** The menu behind the half-moon: theme, sizes, screen reader mode. Native radios and a range; every change shows at once. */
import { need } from "./dom.js";
import { prefs, setPrefs } from "./prefs.js";
import { applyTheme, onTheme, setSize, size } from "./theme.js";

export function mountSettings() {
  onTheme(applyTheme);
  applyTheme();
  const menu = need("#settings");
  for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (menu.querySelectorAll("input"))) {
    const { name } = input;
    if (input.type === "radio") input.checked = prefs.theme === input.value;
    else if (input.type === "checkbox") input.checked = prefs.reader;
    else {
      const show = () => {
        input.value = String(size(name === "text" ? "text" : "terminal"));
        input.setAttribute("aria-valuetext", `${input.value} px`);
      };
      onTheme(show); // a theme may have sizes of its own, and keys change them too
      show();
    }
    input.addEventListener("input", () => {
      if (name === "theme") setPrefs({ theme: /** @type {any} */ (input.value) });
      if (name === "text") setSize("text", Number(input.value));
      if (name === "terminal") setSize("terminal", Number(input.value));
      if (name === "reader") setPrefs({ reader: input.checked });
    });
  }
}

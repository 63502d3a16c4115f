/**
 * Japanese and English without leaving: the other language's page is fetched, its article and words take the place of
 * these, the address changes with it. Step, scroll, terminals and the connection stay as they are.
 */
import { need } from "./dom.js";
import { setGlossary } from "./glossary.js";
import { setStrings, t } from "./strings.js";

/** @param {import("./page.js").Page} page */
export function mountLanguage(page) {
  const link = /** @type {HTMLAnchorElement} */ (need("#switch-language"));
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a person may want a second tab
    event.preventDefault();
    void change(link, page);
  });
}

/** @param {HTMLAnchorElement} link @param {import("./page.js").Page} page */
async function change(link, page) {
  link.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(link.href, { headers: { Accept: "text/html" } });
    if (!response.ok) throw new Error(String(response.status));
    put(new DOMParser().parseFromString(await response.text(), "text/html"), link, page);
  } catch {
    page.line.tell({ message: t("language.failed") });
  } finally {
    link.removeAttribute("aria-busy");
  }
}

/** @param {Document} other @param {HTMLAnchorElement} link @param {import("./page.js").Page} page */
function put(other, link, page) {
  /** @type {import("./types.js").Boot} */
  const boot = JSON.parse(other.getElementById("boot")?.textContent ?? "{}");
  const text = need("#text");
  const scroll = text.scrollTop / Math.max(1, text.scrollHeight);
  history.replaceState(null, "", link.href.replace(/#.*/, "") + location.hash);
  need("#lesson").replaceWith(document.adoptNode(/** @type {Element} */ (other.getElementById("lesson"))));
  const twin = /** @type {HTMLAnchorElement} */ (other.getElementById("switch-language"));
  for (const name of ["href", "lang", "hreflang", "title", "aria-label"])
    link.setAttribute(name, twin.getAttribute(name) ?? "");
  link.textContent = twin.textContent;
  for (const id of ["crumb", "home"]) {
    const here = document.getElementById(id);
    const there = other.getElementById(id);
    if (here && there) here.replaceWith(document.adoptNode(there));
  }
  document.title = other.title;
  if (boot.lesson) page.course.lesson.steps = boot.lesson.steps;
  setGlossary(boot);
  setStrings(boot.lang, boot.strings);
  page.steps.mount();
  text.scrollTop = scroll * text.scrollHeight;
  page.connection.emit("lang", { lang: boot.lang });
}

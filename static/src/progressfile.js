/**
 * On the contents page: a file with one's progress is read back. Saving is a link and needs no script. The file goes to the server
 * as it is, which says what it took; then the page is loaded again, because every line of it may have changed.
 */
import { Api } from "./api.js";
import { h } from "./dom.js";
import { t } from "./strings.js";

/** As much as the server takes. */
const MOST_BYTES = 256 * 1024;
const SAID = "hako:progress-said";

/** @param {import("./types.js").Boot} boot */
export function mountProgressFile(boot) {
  const button = document.getElementById("load-progress");
  const input = /** @type {HTMLInputElement | null} */ (document.getElementById("progress-file"));
  const said = document.getElementById("progress-said");
  if (!button || !input || !said) return;
  const api = new Api(boot);
  const before = sessionStorage.getItem(SAID); // said before the page was loaded again
  if (before) {
    said.textContent = before;
    sessionStorage.removeItem(SAID);
    said.scrollIntoView({ block: "center" });
  }
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    const [file] = input.files ?? [];
    if (!file) return;
    try {
      const taken = await api.call("/api/progress/file", await read(file));
      sessionStorage.setItem(SAID, sentence(taken));
      location.reload();
    } catch (error) {
      const { message, hint } = /** @type {import("./connection.js").Trouble} */ (error);
      said.replaceChildren(h("b", {}, message), ` ${hint ?? ""}`);
    } finally {
      input.value = ""; // the same file may be chosen again
    }
  });
}

/** @param {File} file @returns {Promise<object>} */
async function read(file) {
  if (file.size > MOST_BYTES) return { hako: "too large" }; // the server has the words for what is no such file
  try {
    const value = JSON.parse(await file.text());
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
  } catch {
    return {};
  }
}

/** @param {{lessons: number, steps: number, unknown: number}} taken */
function sentence({ lessons, steps, unknown }) {
  const known = t("progress.taken", { lessons, steps });
  return unknown ? `${known} ${t("progress.unknown", { unknown })}` : known;
}

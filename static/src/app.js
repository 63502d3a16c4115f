/** The entry: every page gets theme and words; the lesson page gets the rest. */
import "./csp.js";
import { Page } from "./page.js";
import { mountProgressFile } from "./progressfile.js";
import { mountSettings } from "./settings.js";
import { setStrings } from "./strings.js";

/** @type {import("./types.js").Boot} */
const boot = JSON.parse(document.getElementById("boot")?.textContent ?? "{}");
setStrings(boot.lang, boot.strings);
mountSettings();
mountProgressFile(boot);
if (boot.lesson) {
  // Letters are measured when a terminal opens: the face has to be there.
  const face = document.fonts.load('15px "JetBrains Mono"').catch(() => []);
  const limit = new Promise((done) => setTimeout(done, 1500));
  await Promise.race([face, limit]);
  const page = new Page(boot);
  Object.defineProperty(window, "hako", { value: page }); // for a person with the console open, and for the browser tests
}

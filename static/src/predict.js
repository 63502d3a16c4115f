/**
 * Predictions and quiz questions: choose first, then see why. The form and the reasons are in the page already, made by
 * the server; the reason of the chosen option is shown after the choice, and of the right one when it was another.
 */
import { h, icon } from "./dom.js";
import { t } from "./strings.js";

/** @param {HTMLElement} root @param {string} step @param {import("./course.js").Course} course */
export function mountPredictions(root, step, course) {
  for (const form of root.querySelectorAll("form.predict"))
    mountOne(/** @type {HTMLFormElement} */ (form), step, course);
}

/** @param {HTMLFormElement} form @param {string} step @param {import("./course.js").Course} course */
function mountOne(form, step, course) {
  const id = form.dataset.predict ?? "";
  const kind = form.closest("[data-quiz]") ? "quiz" : "predicted";
  const said = h("p", { class: "predict-said", role: "status" });
  const commit = h("button", { type: "submit", class: "primary", disabled: true }, t(`predict.commit_${kind}`));
  form.prepend(h("p", { class: "predict-head" }, icon("circleHelp"), t(`predict.head_${kind}`)));
  form.querySelector("fieldset")?.append(h("p", { class: "predict-actions" }, commit));
  form.querySelector("fieldset")?.after(said);
  const choice = () => /** @type {HTMLInputElement | null} */ (form.querySelector("input:checked"))?.value ?? "";
  form.addEventListener("change", () => {
    commit.disabled = !choice();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!choice()) return;
    course.note(step, kind, { [id]: choice() });
    reveal(form, choice(), said, commit);
  });
  const kept = course.of(step)[kind]?.[id];
  if (!kept) return;
  const input = form.querySelector(`input[value="${CSS.escape(kept)}"]`);
  if (input instanceof HTMLInputElement) input.checked = true;
  reveal(form, kept, said, commit);
}

/** @param {HTMLFormElement} form @param {string} chosen @param {HTMLElement} said @param {HTMLButtonElement} commit */
function reveal(form, chosen, said, commit) {
  const whys = [.../** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll(".why"))];
  const right = whys.find((why) => why.dataset.right === "true")?.dataset.option ?? "";
  const hit = chosen === right;
  for (const why of whys) {
    why.hidden = why.dataset.option !== chosen && why.dataset.option !== right;
    why.classList.toggle("right", why.dataset.option === right);
  }
  for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll("input"))) {
    input.disabled = true;
    const label = input.closest("label");
    const state = input.value === right ? "right" : input.value === chosen ? "chosen" : "";
    label?.classList.add(...(state ? [state] : []));
    if (!state || label?.querySelector(".icon")) continue;
    label?.append(icon(state === "right" ? "check" : "x"), h("span", { class: "unseen" }, t(`predict.${state}`)));
  }
  form.classList.add("answered");
  commit.hidden = true;
  said.replaceChildren(icon(hit ? "circleCheck" : "circleDot"), t(hit ? "predict.hit" : "predict.miss"));
}

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
  const said = h("p", { class: "predict-said", role: "status", tabindex: -1 });
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
    said.focus({ preventScroll: true }); // the button that had it is gone
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
  for (const why of whys) {
    const option = why.dataset.option ?? "";
    why.hidden = option !== chosen && option !== right;
    why.classList.add(option === right ? "right" : "chosen");
    if (!why.hidden) why.prepend(reasonHead(form, option, option === right));
  }
  for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll("input"))) {
    input.disabled = true;
    if (input.value === right) mark(input, "right");
    else if (input.value === chosen) mark(input, "chosen");
  }
  const hit = chosen === right;
  form.classList.add("answered");
  commit.hidden = true;
  said.replaceChildren(icon(hit ? "circleCheck" : "circleDot"), t(hit ? "predict.hit" : "predict.miss"));
}

/** @param {HTMLInputElement} input @param {"right" | "chosen"} state */
function mark(input, state) {
  const label = input.closest("label");
  label?.classList.add(state);
  label?.append(icon(state === "right" ? "check" : "x"), h("span", { class: "unseen" }, t(`predict.${state}`)));
}

/** Which option a reason belongs to. @param {HTMLFormElement} form @param {string} option @param {boolean} right */
function reasonHead(form, option, right) {
  const label = form.querySelector(`input[value="${CSS.escape(option)}"] + span`);
  const words = label ? [...label.childNodes].map((node) => node.cloneNode(true)) : [];
  return h("p", { class: "why-head" }, icon(right ? "check" : "x"), h("span", {}, ...words));
}

/**
 * "Bring me to this step": the server does the steps before it in this lab, one after the other, and says how far it is. Offered
 * while one of them is not done; asked first, because reading a thing done is not doing it.
 */
import { h, icon } from "./dom.js";
import { t } from "./strings.js";

/**
 * @param {string} step @param {import("./page.js").Page} page @param {HTMLElement} said
 * @param {(error: unknown) => string} words
 */
export function bringButton(step, page, said, words) {
  const { course } = page;
  const at = course.lesson.steps.findIndex((one) => one.id === step);
  const left = () => course.lesson.steps.slice(0, at).filter((one) => !course.isDone(one.id)).length;
  const button = h("button", { type: "button", onclick: () => ask() }, icon("forward"), t("bring.button"));
  const draw = () => {
    button.hidden = left() === 0;
  };
  const go = async () => {
    button.focus();
    said.textContent = t("bring.begun");
    try {
      await page.connection.ask("bring", { step });
    } catch (error) {
      said.textContent = words(error);
    }
  };
  const ask = () => {
    const yes = h("button", { type: "button", class: "primary", onclick: () => void go() }, t("bring.yes"));
    const back = () => {
      said.textContent = "";
      button.focus();
    };
    const no = h("button", { type: "button", onclick: back }, t("cancel"));
    said.replaceChildren(t("bring.ask", { steps: at }), " ", yes, " ", no);
    yes.focus();
  };
  course.addEventListener("progress", draw);
  draw();
  return button;
}

/** What the server tells of a journey, shown where the person looks. @param {import("./page.js").Page} page */
export function followJourney(page) {
  const { connection, course } = page;
  /** @param {string} sentence */
  const say = (sentence) => {
    const said = document.querySelector("#lesson section.step:not([hidden]) .help-said");
    if (said) said.textContent = sentence;
  };
  connection.on("bringing", ({ step, at, of }) => {
    say(t("bring.at", { at, of, title: course.lesson.steps.find((one) => one.id === step)?.title ?? step }));
  });
  connection.on("brought", ({ step, ok }) => {
    course.go(step);
    say(ok ? t("bring.there") : t("bring.stuck"));
  });
}

/**
 * What stands below a step: hints one after the other, "show me" (the solution is typed in a terminal of its own), "check
 * now", and the reset of the lab, which asks first because work is lost.
 */
import { bringButton } from "./bring.js";
import { h, icon } from "./dom.js";
import { t } from "./strings.js";

/** @param {HTMLElement} section @param {string} step @param {import("./page.js").Page} page */
export function mountHelp(section, step, page) {
  const bar = section.querySelector(".help");
  if (!(bar instanceof HTMLElement)) return;
  const said = h("p", { class: "help-said", role: "status" });
  bar.append(
    ...[
      hintButton(section, step, page.course),
      showButton(step, page, said),
      checkButton(page, said),
      bringButton(step, page, said, words),
      resetButton(step, page, said),
    ].filter((button) => button !== null),
  );
  bar.after(said);
}

/** @param {HTMLElement} section @param {string} step @param {import("./course.js").Course} course */
function hintButton(section, step, course) {
  const hints = /** @type {HTMLElement[]} */ ([...section.querySelectorAll(".hints > li")]);
  if (!hints.length) return null;
  const word = h("span", {});
  const draw = () => {
    const open = Math.min(hints.length, course.of(step).hints ?? 0);
    for (const [index, hint] of hints.entries()) hint.hidden = index >= open;
    word.textContent = open < hints.length ? t("help.hint", { at: open + 1, of: hints.length }) : t("help.no_more");
    button.setAttribute("aria-disabled", String(open >= hints.length)); // not disabled: that would drop the focus
  };
  const button = h(
    "button",
    {
      type: "button",
      onclick: () => {
        if (button.getAttribute("aria-disabled") === "true") return;
        course.note(step, "hint", (course.of(step).hints ?? 0) + 1);
        draw();
      },
    },
    icon("lightbulb"),
    word,
  );
  draw();
  return button;
}

/** @param {string} step @param {import("./page.js").Page} page @param {HTMLElement} said */
function showButton(step, page, said) {
  if (!page.course.lesson.steps.find((one) => one.id === step)?.solve) return null;
  const button = h(
    "button",
    {
      type: "button",
      onclick: async () => {
        if (button.getAttribute("aria-disabled") === "true") return;
        button.setAttribute("aria-disabled", "true");
        said.textContent = t("help.showing");
        try {
          page.course.note(step, "shown", true);
          await page.connection.ask("solve", { step });
          await page.deck.ensure("show");
          page.deck.select("show", false);
          page.panes.look();
          said.textContent = t("help.shown");
        } catch (error) {
          said.textContent = words(error);
        } finally {
          button.removeAttribute("aria-disabled");
        }
      },
    },
    icon("eye"),
    t("help.show"),
  );
  return button;
}

/** @param {import("./page.js").Page} page @param {HTMLElement} said */
function checkButton(page, said) {
  return h(
    "button",
    {
      type: "button",
      onclick: async () => {
        try {
          const { results } = await page.connection.ask("check", {});
          page.course.checked({ step: page.course.current, results });
          const open = results.filter((/** @type {{state: string}} */ one) => one.state !== "done").length;
          said.textContent = open ? t("help.checked_open", { open }) : t("help.checked_done");
        } catch (error) {
          said.textContent = words(error);
        }
      },
    },
    icon("check"),
    t("help.check"),
  );
}

/** @param {string} step @param {import("./page.js").Page} page @param {HTMLElement} said */
function resetButton(step, page, said) {
  const button = h(
    "button",
    { type: "button", "aria-expanded": "false", onclick: () => ask() },
    icon("reset"),
    t("help.reset"),
  );
  const ask = () => {
    const yes = h(
      "button",
      {
        type: "button",
        class: "primary",
        onclick: () => {
          said.textContent = t("help.resetting");
          button.focus();
          page.resetLab(step).then(
            () => {
              said.textContent = t("help.reset_done");
            },
            (error) => {
              said.textContent = words(error);
            },
          );
        },
      },
      t("help.reset_yes"),
    );
    const no = h(
      "button",
      {
        type: "button",
        onclick: () => {
          said.textContent = "";
          button.focus();
        },
      },
      t("cancel"),
    );
    said.replaceChildren(t("help.reset_ask"), " ", yes, " ", no);
    yes.focus();
  };
  return button;
}

/** @param {unknown} error */
function words(error) {
  const trouble = /** @type {import("./connection.js").Trouble} */ (error);
  return [trouble.message || t("command.offline"), trouble.hint].filter(Boolean).join(" ");
}

/**
 * The lesson page: makes its parts, brings them together, and keeps the lab and the connection in step. What each part
 * does is in the part.
 */
import { Api } from "./api.js";
import { followJourney } from "./bring.js";
import { Connection, Trouble } from "./connection.js";
import { Course } from "./course.js";
import { Deck } from "./deck.js";
import { need } from "./dom.js";
import { mountGlossary } from "./glossary.js";
import { mountKeys } from "./keys.js";
import { LabLine } from "./labline.js";
import { mountLanguage } from "./language.js";
import { Panes } from "./panes.js";
import { Steps } from "./steps.js";
import { lang, t } from "./strings.js";
import { Typist } from "./typist.js";
import { Drawer } from "./views/drawer.js";

export class Page {
  /** @param {import("./types.js").Boot} boot */
  constructor(boot) {
    this.boot = boot;
    this.engineUp = true;
    this.labWanted = false;
    /** @type {import("./types.js").Lab | null} */
    this.lab = null;
    this.api = new Api(boot);
    this.course = new Course(boot, this.api);
    this.connection = new Connection(boot, () => ({
      lesson: this.course.lesson.id,
      step: this.stepId(),
      lang: lang(),
    }));
    this.typist = new Typist(this.connection, (terminal) => this.deck.ensure(terminal));
    this.panes = new Panes(this);
    this.deck = new Deck(this.connection, {
      leave: () => this.panes.leave(),
      maximize: () => this.panes.full("terminals"),
    });
    this.steps = new Steps(this);
    this.views = new Drawer(need("#views"), this.course);
    this.panes.mount();
    this.panes.draw();
    this.line = new LabLine(need("#line"), this);
    mountGlossary(boot);
    mountKeys(this);
    followJourney(this);
    mountLanguage(this);
    this.listen();
    this.connection.start();
  }

  listen() {
    const { connection, course } = this;
    connection.addEventListener("online", (event) => void this.opened(/** @type {CustomEvent} */ (event).detail));
    connection.on("lab", (lab) => this.setLab(lab));
    connection.on("observed", ({ observation }) => this.views.show(observation));
    connection.on("usage", (told) => this.views.told("usage", told));
    connection.on("plan", (told) => this.views.told("plan", told));
    connection.on("where", ({ terminal, where }) => this.views.inFront(terminal, where));
    connection.on("checks", (told) => course.checked(told));
    connection.on("done", (told) => course.finished(told));
    connection.on("engine", ({ up }) => {
      this.engineUp = up;
      this.line.draw();
      if (up) void this.reopen(false); // what could not be attached while it was away
    });
    connection.on("terminals", ({ terminals }) => {
      // One that "show me" opened; another id under its name is another shell, which has to be attached.
      for (const { name, id } of terminals)
        void this.deck.ensure(name, id, id !== this.deck.frames.get(name)?.terminal?.id);
    });
    course.addEventListener("step", () => this.tellStep());
  }

  /** The step whose checks run: at the end of the lesson none new, so the last one. */
  stepId() {
    return this.course.step?.id ?? this.course.lesson.steps.at(-1)?.id ?? "";
  }

  /**
   * @param {{lab: import("./types.js").Lab | null, terminals: import("./types.js").TerminalInfo[], up?: boolean}} answer
   * @param {boolean} [again] see reopen
   */
  async opened(answer, again = true) {
    this.engineUp = answer.up ?? true;
    this.line.draw();
    if (!this.engineUp) return; // nobody knows of labs now; `engine` comes when it is back
    if (!answer.lab || answer.lab.state === "ended") {
      if (this.lab) this.showLab({ ...this.lab, state: "ended", reason: answer.lab?.reason ?? t("line.gone") });
      else if (!this.labWanted) await this.wantLab();
      return;
    }
    this.showLab(answer.lab);
    const names = this.course.step?.terminals ?? ["lab"];
    if (answer.lab.state === "ready") await this.deck.sync(answer.terminals, names, again);
  }

  /** The learner's lab for this lesson: the one that lives, else a new one. */
  async wantLab() {
    this.labWanted = true;
    this.line.trouble = null;
    this.line.draw();
    try {
      const lab = await this.api.lab(this.course.lesson.id);
      const answer = await this.connection.ask("open", this.connection.hello());
      this.labWanted = false;
      await this.opened({ ...answer, lab: answer.lab ?? lab });
    } catch (error) {
      this.labWanted = false;
      this.said(error);
    }
  }

  /** @param {import("./types.js").Lab} lab */
  setLab(lab) {
    const before = this.lab?.state;
    this.showLab(lab);
    if (lab.state === "ready" && before && before !== "ready" && !this.labWanted) void this.reopen();
  }

  /** @param {import("./types.js").Lab} lab */
  showLab(lab) {
    this.lab = lab;
    this.line.setLab(lab);
    document.body.dataset.lab = lab.state;
  }

  /** The lab or the engine is ready (again). @param {boolean} [again] attach what is attached, too: it may be another */
  async reopen(again = true) {
    try {
      await this.opened(await this.connection.ask("open", this.connection.hello()), again);
    } catch (error) {
      this.said(error);
    }
  }

  tellStep() {
    this.connection.ask("step", { step: this.stepId() }).then(
      (answer) => answer?.results && this.course.checked({ step: this.stepId(), results: answer.results }),
      () => {}, // offline: `open` says the step at the next connect
    );
    if (this.lab?.state === "ready") for (const name of this.course.step?.terminals ?? []) void this.deck.ensure(name);
  }

  /** @param {"pause" | "resume" | "extend" | "remove"} verb */
  labVerb(verb) {
    if (!this.lab) return;
    this.api.labVerb(this.lab.id, verb).then(
      (lab) => this.setLab(lab),
      (error) => this.said(error),
    );
  }

  /** @param {string} step the one to set up after it */
  async resetLab(step) {
    if (!this.lab) throw new Trouble({ message: t("line.no_lab") });
    this.deck.keep(this.course.step?.terminals ?? ["lab"]);
    this.setLab(await this.api.labVerb(this.lab.id, "reset", { step }));
    await this.reopen();
  }

  /** @param {unknown} error */
  said(error) {
    const trouble = /** @type {Trouble} */ (error);
    if (trouble.kind !== "offline" || trouble.message) this.line.tell({ message: trouble.message, hint: trouble.hint });
  }
}

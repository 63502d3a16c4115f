/** A live view of a part of the observation only: as long as that part stays the same nothing is looked through or drawn. */
import { LiveView } from "./live.js";

/** @typedef {import("../types.js").Observation} Observation */

export class SteadyView extends LiveView {
  part = "";

  /** All that is drawn, for JSON. @param {Observation} seen @returns {unknown} */
  drawn(seen) {
    return seen;
  }

  /** @override @param {Observation} observation */
  show(observation) {
    const part = JSON.stringify([observation.lab, observation.init.pid, this.drawn(observation)]);
    if (part === this.part) {
      this.seen = observation;
      return false;
    }
    this.part = part;
    return super.show(observation);
  }
}

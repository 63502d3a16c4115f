/**
 * The JSON side of the server: labs and progress. Every POST carries the CSRF token; every failure becomes a Trouble whose
 * words are already in the page's language.
 */
import { Trouble } from "./connection.js";
import { lang, t } from "./strings.js";

export class Api {
  /** @param {{prefix: string, csrf: string}} boot */
  constructor(boot) {
    this.boot = boot;
  }

  /** @param {string} path below the prefix @param {object} [body] present = POST @returns {Promise<any>} */
  async call(path, body) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "application/json", "Accept-Language": lang() };
    if (body) Object.assign(headers, { "Content-Type": "application/json", "X-CSRF-Token": this.boot.csrf });
    let response;
    try {
      const method = body ? "POST" : "GET";
      response = await fetch(`${this.boot.prefix}${path}`, { method, headers, body: body && JSON.stringify(body) });
    } catch {
      throw new Trouble({ kind: "offline", message: t("api.away"), hint: t("api.away_hint") });
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok)
      throw new Trouble(answer.error ?? { kind: "http", message: t("api.failed", { status: response.status }) });
    return answer;
  }

  /** @param {string} lesson @returns {Promise<import("./types.js").Lab>} */
  lab(lesson) {
    return this.call("/api/labs", { lesson, lang: lang() });
  }

  /** @param {string} id @param {"reset"|"pause"|"resume"|"remove"|"extend"} verb @param {object} [more] */
  labVerb(id, verb, more = {}) {
    return this.call(`/api/labs/${encodeURIComponent(id)}/${verb}`, more);
  }

  /** @param {string} lesson @param {string} step @param {string} kind @param {any} value */
  progress(lesson, step, kind, value) {
    return this.call("/api/progress", { lesson, step, kind, value });
  }
}

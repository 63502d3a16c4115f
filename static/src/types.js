/**
 * The shapes of what comes from the server, for tsc only; nothing here runs. The source is web/ and engine/observe/.
 *
 * @typedef {object} Lab
 * @property {string} id
 * @property {"creating" | "ready" | "paused" | "ended"} state
 * @property {string} [reason]
 * @property {number} created_at  unix seconds, like the two below
 * @property {number} idle_ends_at
 * @property {number} ends_at
 * @property {string} [progress]
 *
 * @typedef {object} TerminalInfo
 * @property {string} name
 * @property {string} [id]     the engine's: another one after a reset of the lab
 * @property {boolean} [exited]
 *
 * @typedef {object} Where
 * @property {{label: string, pid: number, differs: string[]}[]} path
 * @property {string | null} [innermost]
 * @property {{pid: number, nspid: number[], argv: string[]} | null} [foreground]
 * @property {boolean} [readable]
 *
 * @typedef {object} Process
 * @property {number} pid      on the machine
 * @property {number[]} nspid  from the lab's pid namespace inwards
 * @property {number} ppid
 * @property {string} comm
 * @property {string[]} argv
 * @property {string} state
 * @property {number} start
 * @property {Record<string, number>} ns
 * @property {{terminal: string} | null} [tty]
 *
 * @typedef {object} Namespace
 * @property {string} kind
 * @property {number} inode
 * @property {number[]} processes
 * @property {string | null} [kept_by]
 * @property {string} [kept_at]  the mount's target, where one keeps it
 * @property {boolean} of_lab
 * @property {string | null} [hostname]
 * @property {[number, number, number][]} [uid_map]  inside, outside, count; empty while not written
 * @property {Record<string, number>} [time_offsets]  clock to seconds
 *
 * @typedef {object} Link
 * @property {string} name
 * @property {string} kind          "veth", "bridge", "loopback" …
 * @property {boolean} up
 * @property {string[]} addresses
 * @property {string | null} [master]  the bridge it is a port of
 * @property {{net: number, name: string} | null} [peer]  the other end of a veth, where that lies in the lab
 *
 * @typedef {object} Union             a mounted union file system (engine/observe/layers.py)
 * @property {"overlay" | "aufs" | "aufs_fuse"} driver
 * @property {string} device
 * @property {string} target
 * @property {number} mnt               inode of the mount namespace it was seen in
 * @property {boolean} of_lab
 * @property {boolean} readonly
 * @property {{path: string, role: "upper" | "lower", mode: string, tree: string | null}[]} layers  the topmost first
 * @property {{path: string, kind: "added" | "changed" | "whiteout" | "opaque", type: string, layer: number, below: number | null}[]} changes
 * @property {string | null} [create]   where AUFS puts a new file
 *
 * @typedef {object} Tree
 * @property {{path: string, type: string, mark: string | null, size: number}[]} files
 * @property {boolean} truncated
 *
 * @typedef {object} Observation
 * @property {string} lab
 * @property {{pid: number, ns?: Record<string, number>}} init
 * @property {Process[]} processes
 * @property {Namespace[]} namespaces
 * @property {Record<string, Link[]>} [links]  by the inode of the network namespace
 * @property {import("./views/cgroups/history.js").GroupUsage[]} [cgroups]
 * @property {{unions: Union[], trees: Record<string, Tree>}} [layers]
 * @property {string[]} [truncated]  lists that were cut at their bound
 *
 * @typedef {object} CheckResult
 * @property {string} id
 * @property {"open" | "other" | "done" | "broken"} state
 * @property {string} [saw]
 * @property {string} [try]
 *
 * @typedef {object} StepProgress
 * @property {boolean} [done]
 * @property {Record<string, boolean>} [checks]
 * @property {Record<string, string>} [predicted]
 * @property {number} [hints]
 * @property {boolean} [shown]
 * @property {Record<string, string>} [quiz]
 *
 * @typedef {object} StepInfo
 * @property {string} id
 * @property {number} number
 * @property {string} title
 * @property {string[]} terminals
 * @property {string} [view]
 * @property {boolean} solve
 * @property {{id: string, right: string[]}[]} [predictions]  the ids of their right options
 *
 * @typedef {object} Boot
 * @property {string} lang
 * @property {string} prefix
 * @property {string} csrf
 * @property {string} token
 * @property {string} token_url
 * @property {{path: string, namespace: string}} socket
 * @property {Record<string, string>} strings
 * @property {Record<string, {word: string, other: string, says: string}>} [glossary]  by id
 * @property {string} [glossary_url]
 * @property {{id: string, slug: string, number: number, minutes: number, steps: StepInfo[]}} [lesson]
 * @property {{steps: Record<string, StepProgress>}} [progress]
 */
export {};

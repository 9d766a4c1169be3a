/** The jobs that a screen knows: merged from lists and events, in the order of the queue. Texts are none of it, so that tests run it alone. */

const FINAL = new Set(["succeeded", "partial", "failed", "rejected", "cancelled"]);
/** @type {Record<string, number>} */
const RANK = { running: 0, interrupted: 1, queued: 1, waiting: 2, settling: 3 };

/** @param {{state: string}} entry */
export function isFinal(entry) {
  return FINAL.has(entry.state);
}

/** @param {string | null | undefined} moment */
function time(moment) {
  return moment ? Date.parse(moment) || 0 : 0;
}

/** @param {any} a @param {any} b */
function byId(a, b) {
  if (a.id === b.id) return 0;
  return a.id < b.id ? -1 : 1;
}

/** Compare two open jobs: those that run, then the queue in its order, then those that wait, then those that arrive. @param {any} a @param {any} b */
export function byQueue(a, b) {
  return (
    (RANK[a.state] ?? 4) - (RANK[b.state] ?? 4) ||
    (a.position ?? 1e9) - (b.position ?? 1e9) ||
    (b.priority ?? 0) - (a.priority ?? 0) ||
    time(a.dropped ?? a.since) - time(b.dropped ?? b.since) ||
    byId(a, b)
  );
}

/** Compare two finished jobs: the newest first. @param {any} a @param {any} b */
export function byEnd(a, b) {
  return time(b.finished ?? b.since) - time(a.finished ?? a.since) || byId(a, b);
}

/**
 * Jobs by key. A drop that was just created is known by its reference until the daemon gives it an id: it keeps the key that it had, so that
 * its row on the page stays the same.
 */
export class JobList {
  constructor() {
    /** @type {Map<string, any>} */
    this.jobs = new Map();
    /** @type {Map<string, string>} id to key */
    this.keys = new Map();
  }

  /** Take the newest word about a job. Returns the key of its row. @param {any} entry */
  put(entry) {
    const key = this.#keyOf(entry);
    const before = this.jobs.get(key);
    if (before && before.id !== entry.id) this.keys.delete(before.id);
    this.keys.set(entry.id, key);
    this.jobs.set(key, entry);
    return key;
  }

  /** @param {any} entry @returns {string} */
  #keyOf(entry) {
    const known = this.keys.get(entry.id);
    const arriving = entry.reference && entry.reference !== entry.id ? this.keys.get(entry.reference) : undefined;
    if (known !== undefined && arriving !== undefined && known !== arriving) this.remove(entry.reference);
    return known ?? arriving ?? entry.id;
  }

  /** Forget a job by its id. Returns the key that its row had, null for one that is not here. @param {string} id */
  remove(id) {
    const key = this.keys.get(id);
    if (key === undefined) return null;
    this.keys.delete(id);
    this.jobs.delete(key);
    return key;
  }

  /** Return a job by the key of its row. @param {string} key */
  get(key) {
    return this.jobs.get(key);
  }

  /** Take a list that was just fetched for all there is; rows of those that stay keep their keys. @param {any[]} entries */
  replace(entries) {
    const kept = new Set(entries.map((entry) => this.put(entry)));
    for (const [id, key] of [...this.keys]) if (!kept.has(key)) this.remove(id);
  }

  /** Return [key, job] of the open jobs in the order of the queue. @returns {[string, any][]} */
  open() {
    return [...this.jobs].filter(([, entry]) => !isFinal(entry)).sort(([, a], [, b]) => byQueue(a, b));
  }

  /** Return [key, job] of the finished jobs, the newest first. @param {number} limit @returns {[string, any][]} */
  finished(limit) {
    return [...this.jobs].filter(([, entry]) => isFinal(entry)).sort(([, a], [, b]) => byEnd(a, b)).slice(0, limit);
  }
}

/**
 * Make these the children of `parent`, in this order, with as few moves as possible: what stands right is not touched, so nothing blinks and
 * the focus stays where it is.
 * @param {Element} parent
 * @param {Element[]} wanted
 */
export function arrange(parent, wanted) {
  const kept = new Set(wanted);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  let at = parent.firstElementChild;
  for (const child of wanted) {
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
}

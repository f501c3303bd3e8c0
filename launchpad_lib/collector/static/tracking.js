// @ts-check
/**
 * tracking.js: the browser SDK. One ES module, no dependency.
 *
 *   import { Tracker } from "./tracking.js";
 *   const tracker = new Tracker({ url: "https://collect.example", featureId: "configurator" });
 *   tracker.track("quiz_started", { quiz_id: "laptop" });
 *
 * An event gets its id in track() and keeps it over every retry. Events wait in IndexedDB (in memory where there is none), so they
 * survive a reload and an offline time; one tab at a time sends, under a Web Lock. On page hide what is not yet confirmed goes out by
 * sendBeacon as well; the collector keeps each event_id once. Without consent nothing is stored and nothing is sent.
 *
 * Tabs of one browser run in processes of their own, and one sees what another wrote to localStorage a moment late. Whose visitor and
 * whose session an event is of is therefore settled in the IndexedDB transaction that stores it: the first tab's ids hold for all.
 */

// begin of the part generated from launchpad_lib/contract/tables.py by scripts/tracking_types.py
/**
 * @typedef {object} QuizStarted
 * @property {string} quiz_id which quiz, for example laptop
 * @property {string} [entry] how the user came: start, restart or shared_link
 */

/**
 * @typedef {object} SliderAdjusted
 * @property {string} [quiz_id] which quiz, for example laptop
 * @property {string} slider which slider, for example budget
 * @property {number} value the value it came to rest on
 * @property {number} [previous_value] the value before
 */

/**
 * @typedef {object} OptionSelected
 * @property {string} [quiz_id] which quiz, for example laptop
 * @property {string} [question] the question the option answers
 * @property {string} option the option chosen, for example light
 */

/**
 * @typedef {object} QuizCompleted
 * @property {string} quiz_id which quiz, for example laptop
 * @property {number} [interactions] a whole number: sliders moved and options chosen in this quiz
 * @property {number} [duration_ms] a whole number: milliseconds from quiz_started to here
 */

/**
 * @typedef {object} ResultViewed
 * @property {string} [quiz_id] which quiz, for example laptop
 * @property {string} result the recommendation shown
 * @property {number} [score] how well it fits, 0 to 1
 */

/**
 * @typedef {object} ResultShared
 * @property {string} [quiz_id] which quiz, for example laptop
 * @property {string} [result] the recommendation shared
 * @property {string} channel link, native, mail, ...
 */

/**
 * @typedef {object} TypedProperties
 * @property {QuizStarted} quiz_started
 * @property {SliderAdjusted} slider_adjusted
 * @property {OptionSelected} option_selected
 * @property {QuizCompleted} quiz_completed
 * @property {ResultViewed} result_viewed
 * @property {ResultShared} result_shared
 */
// end of the generated part

/**
 * @typedef {object} TrackedEvent
 * @property {string} event_id
 * @property {string} event_name
 * @property {string} user_id
 * @property {string} session_id
 * @property {string} event_at ISO-8601, UTC
 * @property {string} platform
 * @property {string} [feature_id]
 * @property {string} [app_version]
 * @property {string} [country]
 * @property {Record<string, unknown>} [properties]
 */

/** @typedef {"granted" | "denied" | "unknown"} Consent */

/**
 * @typedef {object} Session
 * @property {string} id
 * @property {number} last of its events, in milliseconds since 1970
 */

/**
 * @typedef {object} Status
 * @property {boolean} isOnline whether the last attempt reached the collector (and the browser does not say offline)
 * @property {number} pending events that wait
 */

/**
 * @typedef {object} Options
 * @property {string} [url] the collector; the page's own origin when absent
 * @property {string} [writeKey] public by nature in a browser
 * @property {string} [userId] a random one, kept in this browser, when absent
 * @property {string} [featureId]
 * @property {string} [appVersion]
 * @property {string} [country]
 * @property {Consent} [consent] what is known at the start; kept from the last visit when absent
 * @property {number} [intervalMs] how long events gather before they are sent
 * @property {number} [batchEvents]
 * @property {number} [maxStored] events kept at most; beyond, the oldest are dropped and told
 * @property {string} [name] of the store, when several trackers live on one origin
 * @property {(status: Status) => void} [onStatus]
 * @property {(event: TrackedEvent, reason: string) => void} [onRefused]
 * @property {(count: number) => void} [onDropped]
 */

const SESSION_GAP_MS = 30 * 60 * 1000;
const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 60_000;
const SEND_TIMEOUT_MS = 10_000;
const MAX_PROPERTIES_BYTES = 64 * 1024;
const MAX_NAME_CHARACTERS = 8192;
const MAX_BEACON_BYTES = 60_000;
const MAX_UNDECIDED = 200;

/** A UUID of version 7 (RFC 9562): sorts by the millisecond of its making. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let ms = Date.now();
  for (let i = 5; i >= 0; i--) {
    bytes[i] = ms % 256;
    ms = Math.floor(ms / 256);
  }
  bytes[6] = (/** @type {number} */ (bytes[6]) & 0x0f) | 0x70;
  bytes[8] = (/** @type {number} */ (bytes[8]) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

export class Tracker {
  /** @param {Options} [options] */
  constructor(options = {}) {
    this._options = options;
    this._name = options.name ?? "launchpad";
    this._endpoint = new URL("v1/events", new URL(options.url ?? ".", globalThis.location?.href)).href;
    this._intervalMs = options.intervalMs ?? 1000;
    this._batchEvents = options.batchEvents ?? 50;
    /** @type {Map<string, TrackedEvent>} this page's events that the collector has not confirmed yet */
    this._unconfirmed = new Map();
    /** @type {TrackedEvent[]} events of a time before the user decided */
    this._undecided = [];
    this._memory = new Memory(this._name);
    /** @type {Consent} */
    this._consent = options.consent ?? /** @type {Consent} */ (this._memory.read("consent") ?? "unknown");
    this._store = new Store(this._name);
    this._failures = 0;
    this._notBefore = 0;
    this._isOnline = true;
    this._pending = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._timer = undefined;
    this._timerAt = 0;
    /** @type {Set<string>} ids on their way into the store */
    this._saving = new Set();
    /** @type {Promise<void> | null} */
    this._draining = null;
    this.counts = { tracked: 0, delivered: 0, refused: 0, dropped: 0 };
    this._listen();
    if (this._consent === "granted") this._wake(0);
  }

  /**
   * Tracks one event and gives its id; null when it was refused (see onRefused) or the user denied consent. Never throws.
   * @template {string} N
   * @param {N} name
   * @param {N extends keyof TypedProperties ? TypedProperties[N] & Record<string, unknown> : Record<string, unknown>} [properties]
   * @param {{ featureId?: string }} [where]
   * @returns {string | null}
   */
  track(name, properties, where = {}) {
    if (this._consent === "denied") return null;
    const feature = where.featureId ?? this._options.featureId;
    /** @type {TrackedEvent} */
    let event = {
      event_id: newId(),
      event_name: name,
      user_id: this._options.userId ?? this._userId(),
      session_id: this._sessionId(),
      event_at: new Date().toISOString(),
      platform: "web",
      ...(feature && { feature_id: feature }),
      ...(this._options.appVersion && { app_version: this._options.appVersion }),
      ...(this._options.country && { country: this._options.country }),
    };
    try {
      if (typeof name !== "string" || !name.trim() || name.length > MAX_NAME_CHARACTERS) throw new TypeError("the event's name must be a text of 1 to 8,192 characters");
      // A deep copy now: what the page changes later is not what happened. Lone surrogates become U+FFFD.
      const text = wellFormed(JSON.stringify(properties ? { ...event, properties } : event));
      event = JSON.parse(text);
      if (text.length > MAX_PROPERTIES_BYTES / 3 && new Blob([JSON.stringify(event.properties)]).size > MAX_PROPERTIES_BYTES) throw new RangeError("properties is over 64 KiB");
    } catch (error) {
      this._refuse(event, String(error));
      return null;
    }
    this.counts.tracked += 1;
    if (this._consent === "unknown") {
      this._undecided.push(event);
      if (this._undecided.length > MAX_UNDECIDED) {
        this._undecided.shift();
        this._drop(1);
      }
    } else {
      this._keep([event]);
    }
    return event.event_id;
  }

  /** The user's decision; kept for the next visit. "denied" forgets every id and every event that is not sent. */
  get consent() {
    return this._consent;
  }

  /** @param {Consent} consent */
  setConsent(consent) {
    this._consent = consent;
    const undecided = this._undecided;
    if (consent !== "unknown") this._undecided = [];
    if (consent === "granted") {
      this._memory.write("consent", consent);
      // The ids made before the decision lived in memory only; from now on they stay.
      for (const key of ["user", "session"]) this._memory.persist(key);
      this._keep(undecided);
      this._wake(0);
    } else if (consent === "denied") {
      this._memory.clear();
      this._memory.write("consent", consent);
      this._unconfirmed.clear();
      void this._store.clear().then(() => this._tellStatus(0));
    }
  }

  /**
   * Sends now and waits; true when nothing is left, false when the time is over (the events stay).
   * @param {number} [timeoutMs]
   */
  async flush(timeoutMs = 10_000) {
    const deadline = Date.now() + timeoutMs;
    this._failures = 0;
    for (;;) {
      this._wake(0);
      await Promise.race([this._draining ?? wait(20), wait(Math.max(0, deadline - Date.now()))]);
      if (this._unconfirmed.size === 0 && (await this._store.count()) === 0) return true;
      if (Date.now() >= deadline) return false;
      await wait(50);
    }
  }

  /** @param {TrackedEvent[]} events */
  _keep(events) {
    for (const event of events) {
      this._unconfirmed.set(event.event_id, event);
      this._saving.add(event.event_id);
    }
    this._tellStatus(this._pending + events.length);
    void this._store.put(events, this._options.maxStored ?? 10_000, this._options.userId === undefined).then(({ dropped, settled }) => {
      // Not after a denial in the meantime, which forgot them.
      if (settled && this._consent === "granted") for (const [key, value] of Object.entries(settled)) this._memory.write(key, value);
      for (const event of events) this._saving.delete(event.event_id);
      for (const id of dropped) this._unconfirmed.delete(id);
      this._drop(dropped.length);
      this._wake(this._intervalMs);
    });
  }

  /** Sends after a delay, or earlier when that was planned; never before a backoff or a Retry-After is over.
   * @param {number} delayMs */
  _wake(delayMs) {
    if (this._consent !== "granted" || this._draining) return;
    const at = Math.max(Date.now() + delayMs, this._notBefore);
    if (this._timer !== undefined && at >= this._timerAt) return;
    clearTimeout(this._timer);
    this._timerAt = at;
    this._timer = setTimeout(() => {
      this._timer = undefined;
      this._draining = this._drain()
        .catch(() => undefined) // the page is going, and its lock with it
        .finally(() => {
          this._draining = null;
          if (this._pending > 0 || this._unconfirmed.size > 0) this._wake(this._intervalMs);
        });
    }, at - Date.now());
  }

  async _drain() {
    /** One tab at a time; where there are no locks the collector's memory of ids keeps doubles out. */
    const alone = navigator.locks ? (/** @type {() => Promise<void>} */ work) => navigator.locks.request(`${this._name}-sender`, work) : (/** @type {() => Promise<void>} */ work) => work();
    await alone(async () => {
      let size = this._batchEvents;
      while (this._consent === "granted") {
        const events = await this._store.first(size);
        if (events.length === 0) {
          // Another tab may have sent ours: an empty store means that all are confirmed but the ones not yet in it.
          for (const id of this._unconfirmed.keys()) if (!this._saving.has(id)) this._unconfirmed.delete(id);
          break;
        }
        const outcome = await this._send(events);
        if (outcome.kind === "retry") {
          this._failures += 1;
          const backoff = Math.random() * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(this._failures, 20));
          this._notBefore = Date.now() + Math.max(backoff, outcome.retryAfterMs);
          break;
        }
        this._failures = 0;
        this._notBefore = 0;
        if (outcome.kind === "split" && events.length > 1) {
          size = Math.ceil(events.length / 2);
          continue;
        }
        const refused = outcome.kind === "split" ? new Map([[0, outcome.reason]]) : outcome.refused;
        events.forEach((event, index) => {
          this._unconfirmed.delete(event.event_id);
          const reason = refused.get(index);
          if (reason === undefined) this.counts.delivered += 1;
          else this._refuse(event, reason);
        });
        await this._store.remove(events.map((event) => event.event_id));
        if (outcome.kind !== "split") size = this._batchEvents;
        this._tellStatus(await this._store.count());
      }
    });
    this._tellStatus(await this._store.count());
  }

  /**
   * @param {TrackedEvent[]} events
   * @returns {Promise<{ kind: "settled", refused: Map<number, string> } | { kind: "split", reason: string } | { kind: "retry", retryAfterMs: number }>}
   */
  async _send(events) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), SEND_TIMEOUT_MS);
    try {
      const response = await fetch(this._endpoint, {
        method: "POST",
        body: JSON.stringify(events),
        headers: { "content-type": "application/json", ...(this._options.writeKey && { authorization: `Bearer ${this._options.writeKey}` }) },
        credentials: "omit",
        cache: "no-store",
        redirect: "error",
        signal: abort.signal,
      });
      this._isOnline = true;
      if (response.status === 202) {
        // Only the collector's own answer is a delivery; a captive portal's is not.
        const said = await response.json();
        if (typeof said.accepted !== "number" || !Array.isArray(said.refused)) throw new TypeError("not a collector's answer");
        return { kind: "settled", refused: new Map(said.refused.map((/** @type {{ index: number, reason: string }} */ r) => [r.index, r.reason])) };
      }
      if ([400, 413, 415, 422].includes(response.status)) return { kind: "split", reason: `HTTP ${response.status}` };
      const seconds = Number(response.headers.get("retry-after") ?? 0);
      return { kind: "retry", retryAfterMs: Number.isFinite(seconds) ? Math.min(seconds, 3600) * 1000 : 0 };
    } catch {
      this._isOnline = false;
      return { kind: "retry", retryAfterMs: 0 };
    } finally {
      clearTimeout(timer);
    }
  }

  _listen() {
    if (typeof addEventListener !== "function") return;
    addEventListener("online", () => {
      this._isOnline = true;
      this._failures = 0;
      this._notBefore = 0;
      this._tellStatus(this._pending);
      this._wake(0);
    });
    addEventListener("offline", () => {
      this._isOnline = false;
      this._tellStatus(this._pending);
    });
    addEventListener("pagehide", () => this._beacon());
    addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this._beacon();
    });
  }

  /** What is not confirmed leaves now; it stays in the store until it is, so a lost beacon loses nothing. */
  _beacon() {
    if (this._consent !== "granted" || this._unconfirmed.size === 0 || !navigator.sendBeacon) return;
    const target = this._options.writeKey ? `${this._endpoint}?write_key=${encodeURIComponent(this._options.writeKey)}` : this._endpoint;
    /** @type {string[]} */
    let lines = [];
    let size = 2;
    for (const event of this._unconfirmed.values()) {
      const line = JSON.stringify(event);
      const bytes = new Blob([line]).size + 1;
      if (size + bytes > MAX_BEACON_BYTES) break;
      lines.push(line);
      size += bytes;
    }
    // text/plain needs no preflight, for which a closing page has no time.
    if (lines.length) navigator.sendBeacon(target, new Blob([`[${lines.join(",")}]`], { type: "text/plain" }));
  }

  _userId() {
    return this._memory.once("user", newId, this._consent === "granted");
  }

  _sessionId() {
    const now = Date.now();
    const [id, last] = (this._memory.read("session") ?? "").split(" ");
    const session = id && now - Number(last) <= SESSION_GAP_MS ? id : newId();
    this._memory.write("session", joined({ id: session, last: now }), this._consent === "granted");
    return session;
  }

  /**
   * @param {TrackedEvent} event
   * @param {string} reason
   */
  _refuse(event, reason) {
    this.counts.refused += 1;
    quietly(() => this._options.onRefused?.(event, reason));
  }

  /** @param {number} count */
  _drop(count) {
    if (count === 0) return;
    this.counts.dropped += count;
    quietly(() => this._options.onDropped?.(count));
  }

  /** @param {number} pending */
  _tellStatus(pending) {
    this._pending = pending;
    quietly(() => this._options.onStatus?.({ isOnline: this._isOnline && globalThis.navigator?.onLine !== false, pending }));
  }
}

/** Small texts that outlive the page, in localStorage where allowed. */
class Memory {
  /** @param {string} name */
  constructor(name) {
    this._prefix = `${name}.`;
    /** @type {Map<string, string>} */
    this._held = new Map();
  }

  /** @param {string} key */
  read(key) {
    let kept = null;
    quietly(() => {
      kept = localStorage.getItem(this._prefix + key);
    });
    return kept ?? this._held.get(key) ?? null;
  }

  /**
   * @param {string} key
   * @param {string} value
   * @param {boolean} [isKept]
   */
  write(key, value, isKept = true) {
    this._held.set(key, value);
    if (isKept) quietly(() => localStorage.setItem(this._prefix + key, value));
  }

  /**
   * @param {string} key
   * @param {() => string} make
   * @param {boolean} isKept
   */
  once(key, make, isKept) {
    const value = this.read(key) ?? make();
    this.write(key, value, isKept);
    return value;
  }

  /** @param {string} key */
  persist(key) {
    const value = this._held.get(key);
    if (value !== undefined) this.write(key, value);
  }

  clear() {
    this._held.clear();
    for (const key of ["consent", "user", "session"]) quietly(() => localStorage.removeItem(this._prefix + key));
  }
}

/** The queue: an IndexedDB store keyed by event_id (which sorts by time), or a Map where there is none. */
class Store {
  /** @param {string} name */
  constructor(name) {
    /** @type {Map<string, TrackedEvent>} */
    this._map = new Map();
    /** @type {Promise<IDBDatabase | null>} */
    this._database = new Promise((resolve) => {
      try {
        const request = indexedDB.open(`${name}-events`, 2);
        request.onupgradeneeded = () => {
          const made = request.result.objectStoreNames;
          if (!made.contains("events")) request.result.createObjectStore("events", { keyPath: "event_id" });
          if (!made.contains("identity")) request.result.createObjectStore("identity");
        };
        request.onsuccess = () => {
          request.result.onversionchange = () => request.result.close();
          resolve(request.result);
        };
        request.onerror = request.onblocked = () => resolve(null);
      } catch {
        resolve(null);
      }
    });
  }

  /**
   * Keeps events under the ids that all tabs share and gives the ids of the oldest ones that had to go for them.
   * The events given get the settled ids, too; `settled` has what is to be remembered for the next event (null without a database).
   * @param {TrackedEvent[]} events
   * @param {number} maxStored
   * @param {boolean} isOwnUser whether user_id is a random one of this browser
   * @returns {Promise<{ dropped: string[], settled: Record<string, string> | null }>}
   */
  async put(events, maxStored, isOwnUser) {
    /** @type {string[]} */
    let dropped = [];
    /** @type {Record<string, string>} */
    const settled = {};
    // One transaction for all of it: puts that overlap must not settle two ids, nor drop for the same excess twice.
    const kept = await this._with("readwrite", (store, identity) => {
      const before = store.count();
      const knownUser = identity.get("user");
      const knownSession = identity.get("session");
      knownSession.onsuccess = () => {
        /** @type {string | undefined} */
        let user = knownUser.result;
        /** @type {Session | undefined} */
        let session = knownSession.result;
        for (const event of events) {
          if (isOwnUser) event.user_id = user ??= event.user_id;
          session = withEvent(session, event);
          store.put(event);
        }
        if (isOwnUser && user !== undefined) identity.put((settled.user = user), "user");
        if (session) {
          identity.put(session, "session");
          settled.session = joined(session);
        }
        const count = store.count();
        count.onsuccess = () => {
          if (count.result <= maxStored) return;
          const oldest = store.getAllKeys(null, count.result - maxStored);
          oldest.onsuccess = () => {
            dropped = oldest.result.map(String);
            for (const id of dropped) store.delete(id);
          };
        };
      };
      return before;
    });
    if (kept !== undefined) return { dropped, settled };
    for (const event of events) this._map.set(event.event_id, event);
    dropped = [...this._map.keys()].slice(0, Math.max(0, this._map.size - maxStored));
    for (const id of dropped) this._map.delete(id);
    return { dropped, settled: null };
  }

  /**
   * The oldest events.
   * @param {number} count
   * @returns {Promise<TrackedEvent[]>}
   */
  async first(count) {
    const stored = (await this._with("readonly", (store) => /** @type {IDBRequest<TrackedEvent[]>} */ (store.getAll(null, count)))) ?? [];
    return [...this._map.values(), ...stored].slice(0, count);
  }

  /** @param {string[]} ids */
  async remove(ids) {
    for (const id of ids) this._map.delete(id);
    await this._with("readwrite", (store) => {
      for (const id of ids) store.delete(id);
      return store.count();
    });
  }

  async count() {
    return this._map.size + ((await this._with("readonly", (store) => store.count())) ?? 0);
  }

  async clear() {
    this._map.clear();
    await this._with("readwrite", (store, identity) => {
      store.clear();
      identity.clear();
      return store.count();
    });
  }

  /**
   * One transaction; undefined when the database does not serve (private mode, quota, a closed connection).
   * @template T
   * @param {IDBTransactionMode} mode
   * @param {(events: IDBObjectStore, identity: IDBObjectStore) => IDBRequest<T>} work
   * @returns {Promise<T | undefined>}
   */
  async _with(mode, work) {
    const database = await this._database;
    if (!database) return undefined;
    return new Promise((resolve) => {
      try {
        const transaction = database.transaction(["events", "identity"], mode);
        const request = work(transaction.objectStore("events"), transaction.objectStore("identity"));
        // Resolved by the transaction, not the request: only then is it kept.
        transaction.oncomplete = () => resolve(request.result);
        transaction.onerror = transaction.onabort = () => resolve(undefined);
      } catch {
        resolve(undefined);
      }
    });
  }
}

/**
 * The session after one more event, which gets its id: the browser's own, whichever tab began it, unless the event is over the gap away
 * from it (then the tab's own; an event of an earlier session, waiting for consent, leaves a later one as it is).
 * @param {Session | undefined} session
 * @param {TrackedEvent} event
 * @returns {Session | undefined}
 */
function withEvent(session, event) {
  const at = Date.parse(event.event_at);
  if (session && Math.abs(at - session.last) <= SESSION_GAP_MS) {
    event.session_id = session.id;
    return { id: session.id, last: Math.max(session.last, at) };
  }
  return session && at < session.last ? session : { id: event.session_id, last: at };
}

/** @param {Session} session */
function joined(session) {
  return `${session.id} ${session.last}`;
}

/** @param {number} ms */
function wait(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The page's own callbacks and storage must not break tracking, nor tracking the page.
 * @param {() => void} work */
function quietly(work) {
  try {
    work();
  } catch {
    // told nobody on purpose: analytics never disturbs the page
  }
}

/** @param {string} text JSON, in which JSON.stringify escapes lone surrogates */
function wellFormed(text) {
  // An escaped backslash before the u belongs to the text itself.
  return text.replace(/\\\\|\\ud[89a-f][0-9a-f]{2}/g, (found) => (found === "\\\\" ? found : "\\ufffd"));
}

// What came back: an entry for each frame, in frame order, and the files that can be made of it.
// Poses are kept for all frames; pictures and meshes, which are large, for the newest.

const KEPT_PICTURES = 3000;
const TENTHS_MM = 1e4;

/** What can be said of a frame, from best to worst. */
export const STATES = ['detected', 'recovered', 'predicted', 'missing'];

export class Results {
  constructor() {
    this.clear(null);
  }

  /** Forget everything; `expected` frames are to come, null if unknown. */
  clear(expected) {
    this.expected = expected;
    this.entries = [];
    this.newest = -1;
    this.done = 0;
    this.failed = 0;
    this.faces ??= null;
    this.angleNames ??= [];
  }

  /** How many frames the timeline has room for. */
  get length() {
    return Math.max(this.entries.length, this.expected ?? 0);
  }

  sent(number, timestampMs) {
    this.entries[number] = { number, timestampMs, state: null };
  }

  received({ number, picture, line, summary, meshes, faces, failure }) {
    const entry = this.entries[number];
    this.done += 1;
    this.newest = Math.max(this.newest, number);
    if (faces) this.faces = faces;
    if (failure) {
      this.failed += 1;
      Object.assign(entry, { state: 'missing', picture, failure, people: [], primary: null, meshes: [] });
    } else {
      const { people, primary, angleNames } = summary;
      if (angleNames.length) this.angleNames = angleNames;
      const first = people.find((person) => person.trackId === primary);
      const state = first?.state ?? 'missing';
      Object.assign(entry, { state, picture, line, people, primary, meshes });
    }
    const old = this.entries[number - KEPT_PICTURES];
    if (old) Object.assign(old, { picture: null, meshes: [] });
  }

  /** What is known of a frame, its answer read; null where nothing has come yet. */
  read(number) {
    const entry = this.entries[number];
    if (!entry?.state) return null;
    return { ...entry, answer: entry.line ? JSON.parse(entry.line) : null };
  }

  /** How many frames are in each state. */
  counts() {
    const counts = Object.fromEntries(STATES.map((state) => [state, 0]));
    for (const entry of this.entries) if (entry?.state) counts[entry.state] += 1;
    return counts;
  }

  /** The ids of all tracks, in the order in which they appeared. */
  tracks() {
    const seen = new Set();
    for (const entry of this.entries) for (const person of entry?.people ?? []) seen.add(person.trackId);
    return [...seen];
  }

  /** All answers, one a line, as the service gave them but for the constant triangles. */
  jsonLines({ withMeshes }) {
    const parts = [];
    for (const entry of this.entries) {
      if (entry?.state) parts.push(withMeshes ? withVertices(entry) : withTime(entry), '\n');
    }
    return new Blob(parts, { type: 'application/x-ndjson' });
  }
}

function withTime(entry) {
  const time = `{"timestamp_ms":${entry.timestampMs}`;
  if (!entry.line) return `${time},"frame_number":${entry.number},"error":${JSON.stringify(entry.failure)}}`;
  return `${time},${entry.line.slice(1)}`;
}

function withVertices(entry) {
  const meshes = entry.meshes.map(({ trackId, vertices }) => `"${trackId}":[${rows(vertices)}]`);
  return `${withTime(entry).slice(0, -1)},"meshes":{${meshes}}}`;
}

function rows(vertices) {
  const texts = [];
  for (let at = 0; at < vertices.length; at += 3) {
    texts.push(`[${vertices[at] / TENTHS_MM},${vertices[at + 1] / TENTHS_MM},${vertices[at + 2] / TENTHS_MM}]`);
  }
  return texts.join(',');
}

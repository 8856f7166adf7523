// Reads Prometheus' text format: each sample with its name, labels and value.

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([^ ]+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** @returns {Map<string, {labels: Record<string, string>, value: number}[]>} the samples of each name */
export function parse(text) {
  const samples = new Map();
  for (const line of text.split('\n')) {
    const found = line.startsWith('#') ? null : SAMPLE.exec(line);
    if (!found) continue;
    const [, name, labelText = '', value] = found;
    const labels = Object.fromEntries([...labelText.matchAll(LABEL)].map(([, key, content]) => [key, content]));
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels, value: value === '+Inf' ? Infinity : Number(value) });
  }
  return samples;
}

/** The value of the one sample with these labels; undefined if there is none. */
export function valueOf(samples, name, labels = {}) {
  const wanted = Object.entries(labels);
  return (samples.get(name) ?? []).find((sample) => wanted.every(([key, content]) => sample.labels[key] === content))?.value;
}

/** The sum of all samples of a name whose labels `accepts`. */
export const sumOf = (samples, name, accepts = () => true) =>
  (samples.get(name) ?? []).filter(({ labels }) => accepts(labels)).reduce((sum, { value }) => sum + value, 0);

/**
 * The value under which `share` of what a histogram counted between two expositions lies, within its bucket evenly spread.
 * Null if it counted nothing.
 */
export function quantile(now, before, name, labels, share) {
  const bucket = `${name}_bucket`;
  const wanted = Object.entries(labels);
  const buckets = (now.get(bucket) ?? [])
    .filter((sample) => wanted.every(([key, content]) => sample.labels[key] === content))
    .map(({ labels: own, value }) => ({
      bound: own.le === '+Inf' ? Infinity : Number(own.le),
      count: value - (valueOf(before, bucket, { ...labels, le: own.le }) ?? 0),
    }))
    .sort((a, b) => a.bound - b.bound);
  const total = buckets.at(-1)?.count ?? 0;
  if (total <= 0) return null;
  let [lower, below] = [0, 0];
  for (const { bound, count } of buckets) {
    if (count >= share * total) {
      return bound === Infinity ? lower : lower + ((bound - lower) * (share * total - below)) / (count - below);
    }
    [lower, below] = [bound, count];
  }
  return lower;
}

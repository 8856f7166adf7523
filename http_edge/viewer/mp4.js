// Reads from an MP4 or QuickTime file where each video frame lies and when it is shown (ISO/IEC 14496-12).
// No frame is decoded here, and only the table of contents (`moov`) is read into memory.

const LONGEST_MOOV_BYTES = 64 * 2 ** 20;

/** The display matrix of a picture that is shown as it is. */
export const UPRIGHT = [1, 0, 0, 1];

/**
 * The first video track of a file.
 * @param {Blob} file
 * @returns {Promise<{config: VideoDecoderConfig, matrix: number[], samples: Sample[], frameCount: number,
 *   framesPerSecond: number | null} | null>} samples in the order of decoding, times in microseconds as players count;
 *   `shown` is false for those that the file cuts away. Null where the file is none of these, or beyond this reader.
 * @typedef {{offset: number, bytes: number, timeUs: number, key: boolean, shown: boolean}} Sample
 */
export async function readVideoTrack(file) {
  try {
    const moov = await findMoov(file);
    if (!moov) return null;
    const movieScale = timescale(child(moov, 'mvhd'));
    const track = children(moov, 'trak').find((trak) => text(child(child(trak, 'mdia'), 'hdlr'), 8) === 'vide');
    return track ? describe(track, movieScale) : null;
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return null; // a broken table of contents
    throw error;
  }
}

async function findMoov(file) {
  for (let at = 0; at + 8 <= file.size;) {
    const head = new DataView(await file.slice(at, at + 16).arrayBuffer());
    let size = head.getUint32(0);
    if (size === 1) size = Number(head.getBigUint64(8));
    if (size === 0) size = file.size - at;
    if (size < 8) return null;
    if (text(head, 4) === 'moov') {
      if (size > LONGEST_MOOV_BYTES) return null;
      const whole = new DataView(await file.slice(at, at + size).arrayBuffer());
      return new DataView(whole.buffer, 8);
    }
    at += size;
  }
  return null;
}

function describe(trak, movieScale) {
  const mdia = child(trak, 'mdia');
  const scale = timescale(child(mdia, 'mdhd'));
  const stbl = child(child(mdia, 'minf'), 'stbl');
  const config = decoderConfig(child(stbl, 'stsd'));
  const edit = onlyEdit(trak, scale, movieScale);
  if (!config || !edit) return null;
  const samples = sampleTable(stbl, scale, edit);
  const times = samples.filter((sample) => sample.shown).map((sample) => sample.timeUs).sort((a, b) => a - b);
  if (times.length === 0) return null;
  const seconds = (times.at(-1) - times[0]) / 1e6;
  return {
    config,
    matrix: displayMatrix(child(trak, 'tkhd')),
    samples,
    frameCount: times.length,
    framesPerSecond: seconds > 0 ? (times.length - 1) / seconds : null,
  };
}

/** What is shown of the track: from `startsAt` up to `endsAt` (media units), after `delaySeconds`. Null: more than one part. */
function onlyEdit(trak, scale, movieScale) {
  const whole = { startsAt: 0, endsAt: Infinity, delaySeconds: 0 };
  const elst = optional(optional(trak, 'edts'), 'elst');
  if (!elst) return whole;
  const long = elst.getUint8(0) === 1;
  let delay = 0;
  const parts = [];
  for (let i = 0, at = 8; i < elst.getUint32(4); i += 1, at += long ? 20 : 12) {
    const duration = long ? Number(elst.getBigUint64(at)) : elst.getUint32(at);
    const start = long ? Number(elst.getBigInt64(at + 8)) : elst.getInt32(at + 4);
    if (start < 0) delay += duration;
    else parts.push({ start, duration });
  }
  if (parts.length > 1) return null;
  if (parts.length === 0) return whole;
  const [{ start, duration }] = parts;
  const endsAt = duration > 0 ? start + (duration * scale) / movieScale : Infinity;
  return { startsAt: start, endsAt, delaySeconds: delay / movieScale };
}

function sampleTable(stbl, scale, edit) {
  const sizes = sampleSizes(child(stbl, 'stsz'));
  const offsets = sampleOffsets(stbl, sizes);
  const decodedAt = expandRuns(child(stbl, 'stts'), sizes.length);
  const ctts = optional(stbl, 'ctts');
  const delays = ctts ? expandRuns(ctts, sizes.length) : null;
  const stss = optional(stbl, 'stss');
  const keys = stss ? new Set(Array.from({ length: stss.getUint32(4) }, (_, i) => stss.getUint32(8 + 4 * i) - 1)) : null;
  let clock = 0;
  return sizes.map((bytes, i) => {
    const time = clock + (delays ? delays[i] | 0 : 0); // version 0 says unsigned, and is written signed
    clock += decodedAt[i];
    return {
      offset: offsets[i],
      bytes,
      timeUs: Math.round(((time - edit.startsAt) / scale + edit.delaySeconds) * 1e6),
      key: keys ? keys.has(i) : true,
      shown: time >= edit.startsAt && time < edit.endsAt,
    };
  });
}

function sampleSizes(stsz) {
  const same = stsz.getUint32(4);
  const count = stsz.getUint32(8);
  if (count * (same ? 0 : 4) > stsz.byteLength) throw new RangeError('stsz');
  return Array.from({ length: count }, (_, i) => same || stsz.getUint32(12 + 4 * i));
}

function sampleOffsets(stbl, sizes) {
  const stsc = child(stbl, 'stsc');
  const co64 = optional(stbl, 'co64');
  const chunks = co64 ?? child(stbl, 'stco');
  const chunkAt = (i) => (co64 ? Number(chunks.getBigUint64(8 + 8 * i)) : chunks.getUint32(8 + 4 * i));
  const offsets = [];
  for (let chunk = 0, run = 0; chunk < chunks.getUint32(4) && offsets.length < sizes.length; chunk += 1) {
    while (run + 1 < stsc.getUint32(4) && stsc.getUint32(8 + 12 * (run + 1)) <= chunk + 1) run += 1;
    let at = chunkAt(chunk);
    for (let left = stsc.getUint32(8 + 12 * run + 4); left > 0 && offsets.length < sizes.length; left -= 1) {
      offsets.push(at);
      at += sizes[offsets.length - 1];
    }
  }
  if (offsets.length < sizes.length) throw new RangeError('stco');
  return offsets;
}

/** One value for each sample, from a table of (count, value). */
function expandRuns(box, count) {
  const values = [];
  for (let i = 0; i < box.getUint32(4); i += 1) {
    const times = Math.min(box.getUint32(8 + 8 * i), count - values.length);
    for (let k = 0; k < times; k += 1) values.push(box.getUint32(12 + 8 * i));
  }
  if (values.length < count) throw new RangeError('runs');
  return values;
}

function decoderConfig(stsd) {
  const kind = text(stsd, 12);
  const entry = slice(stsd, 16, stsd.getUint32(8) - 8);
  const size = { codedWidth: entry.getUint16(24), codedHeight: entry.getUint16(26) };
  const inside = slice(entry, 78, entry.byteLength - 78);
  if (kind === 'avc1' || kind === 'avc3') {
    const description = bytes(child(inside, 'avcC'));
    return { codec: `avc1.${hex(description.subarray(1, 4))}`, description, ...size };
  }
  if (kind === 'hvc1' || kind === 'hev1') {
    const description = bytes(child(inside, 'hvcC'));
    return { codec: `${kind}.${hevcProfile(description)}`, description, ...size };
  }
  if (kind === 'vp09') {
    const [profile, level, depth] = bytes(child(inside, 'vpcC')).subarray(4);
    return { codec: `vp09.${[profile, level, depth >> 4].map(twoDigits).join('.')}`, ...size };
  }
  if (kind === 'av01') {
    const [, profileLevel, flags] = bytes(child(inside, 'av1C'));
    const depth = flags & 0x40 ? (flags & 0x20 ? 12 : 10) : 8;
    const level = twoDigits(profileLevel & 31) + (flags & 0x80 ? 'H' : 'M');
    return { codec: `av01.${profileLevel >> 5}.${level}.${twoDigits(depth)}`, ...size };
  }
  return null;
}

/** ISO/IEC 14496-15, annex E.3. */
function hevcProfile(hvcC) {
  const space = ['', 'A', 'B', 'C'][hvcC[1] >> 6];
  let compatible = 0;
  for (let bit = 0; bit < 32; bit += 1) {
    if (hvcC[2 + (bit >> 3)] & (0x80 >> (bit & 7))) compatible += 2 ** bit;
  }
  const constraints = Array.from(hvcC.subarray(6, 12));
  while (constraints.length && constraints.at(-1) === 0) constraints.pop();
  return [
    space + (hvcC[1] & 31),
    compatible.toString(16),
    (hvcC[1] & 32 ? 'H' : 'L') + hvcC[12],
    ...constraints.map((value) => value.toString(16)),
  ].join('.');
}

/** [a, b, c, d] by which the picture is turned and mirrored before it is shown: x goes to a x + c y, y to b x + d y. */
function displayMatrix(tkhd) {
  const at = tkhd.getUint8(0) === 1 ? 52 : 40;
  const matrix = [0, 4, 12, 16].map((place) => tkhd.getInt32(at + place) / 2 ** 16);
  const turns = Math.abs(matrix[0] * matrix[3] - matrix[1] * matrix[2]) === 1;
  return turns && matrix.every(Number.isInteger) ? matrix : UPRIGHT;
}

const timescale = (header) => header.getUint32(header.getUint8(0) === 1 ? 20 : 12);
const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
const twoDigits = (value) => String(value).padStart(2, '0');
const hex = (values) => Array.from(values, (value) => value.toString(16).padStart(2, '0')).join('');
const slice = (view, at, length) => new DataView(view.buffer, view.byteOffset + at, length);
const text = (view, at) => String.fromCharCode(...bytes(slice(view, at, 4)));

function children(box, kind) {
  const found = [];
  for (let at = 0; at + 8 <= box.byteLength;) {
    const size = box.getUint32(at) || box.byteLength - at;
    if (size < 8) break;
    if (text(box, at + 4) === kind) found.push(slice(box, at + 8, size - 8));
    at += size;
  }
  return found;
}

const optional = (box, kind) => (box ? children(box, kind)[0] : undefined);

function child(box, kind) {
  const found = optional(box, kind);
  if (!found) throw new RangeError(kind);
  return found;
}

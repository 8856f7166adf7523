// A worker that takes frames to the service: pictures in, answers out, so that the page itself never stalls.
// Meshes leave as whole tenths of millimetres, which is exactly what the service says of them.

import { decode } from './msgpack.js';
import { authorization } from './token.js';

const QUALITY = 0.92;
const TENTHS_MM = 1e4;
const BUSY_TRIES = 30;
const LONGEST_WAIT_S = 10;
const NETWORK_TRIES = 4;

const canvas = new OffscreenCanvas(1, 1);
const context = canvas.getContext('2d', { alpha: false, willReadFrequently: true }); // every picture is read back at once
const controller = { current: new AbortController() };
let facesSent = false;

self.onmessage = async ({ data }) => {
  if (data.stop) {
    controller.current.abort();
    controller.current = new AbortController();
    return;
  }
  if (data.number === 0) facesSent = false; // the service may have another body by now
  const { signal } = controller.current;
  const began = performance.now();
  const whose = { sessionId: data.sessionId, number: data.number };
  let picture = null;
  try {
    picture = await encode(data);
    const answer = await ask(data, picture, signal);
    const delivered = unpack(answer);
    const latencyMs = performance.now() - began;
    self.postMessage({ ...delivered, ...whose, picture, latencyMs }, delivered.transfers);
  } catch (error) {
    if (signal.aborted) return;
    self.postMessage({ ...whose, picture, failure: { code: error.code ?? 'network', message: error.message } });
  }
};

/** The frame as it is to be seen, no longer than asked for, as a JPEG. */
async function encode({ image, matrix, longestPx }) {
  const [a, b, c, d] = matrix;
  const width = image.displayWidth ?? image.width;
  const height = image.displayHeight ?? image.height;
  const scale = Math.min(1, longestPx / Math.max(width, height));
  canvas.width = Math.round((Math.abs(a) * width + Math.abs(c) * height) * scale);
  canvas.height = Math.round((Math.abs(b) * width + Math.abs(d) * height) * scale);
  const left = (a < 0 || c < 0) ? canvas.width : 0;
  const top = (b < 0 || d < 0) ? canvas.height : 0;
  context.setTransform(a * scale, b * scale, c * scale, d * scale, left, top);
  context.drawImage(image, 0, 0, width, height);
  image.close();
  return canvas.convertToBlob({ type: 'image/jpeg', quality: QUALITY });
}

/** The service's answer; asks again where it is too busy or cannot be reached. */
async function ask(frame, picture, signal) {
  const form = new FormData();
  form.set('frameNumber', String(frame.number));
  form.set('session_id', frame.sessionId);
  form.set('timestamp_ms', String(frame.timestampMs));
  if (frame.framesPerSecond) form.set('fps', String(frame.framesPerSecond));
  form.set('people', frame.meshes === 'everyone' ? 'full' : 'primary');
  if (facesSent) form.set('faces', 'none');
  form.set('frame', picture);
  for (let busy = 0, unreachable = 0; ;) {
    let response;
    try {
      const headers = { Accept: 'application/msgpack', ...authorization(frame.token) };
      response = await fetch('/pose/hybrid', { method: 'POST', body: form, headers, signal });
    } catch (error) {
      unreachable += 1;
      if (signal.aborted || unreachable === NETWORK_TRIES) throw error;
      await wait(unreachable);
      continue;
    }
    if (response.ok) return decode(await response.arrayBuffer());
    if ((response.status === 503 || response.status === 429) && busy < BUSY_TRIES && !signal.aborted) {
      busy += 1;
      await wait(Math.min(Number(response.headers.get('Retry-After')) || 1, LONGEST_WAIT_S));
      continue;
    }
    const body = await response.json().catch(() => ({}));
    throw Object.assign(new Error(body.error ?? `HTTP ${response.status}`), { code: body.code ?? String(response.status) });
  }
}

const wait = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1e3); });

/** The answer without its meshes as one line of JSON, and the meshes as numbers. */
function unpack(answer) {
  const { mesh_faces_data: triangles, mesh_vertices_data: vertices, ...rest } = answer;
  const meshes = [];
  for (const person of rest.people) {
    const own = person.mesh_vertices_data ?? (person.track_id === rest.tracking.track_id ? vertices : null);
    if (own?.data) meshes.push({ trackId: person.track_id, vertices: tenths(numbers(own, Float32Array)) });
    delete person.mesh_vertices_data;
  }
  const transfers = meshes.map((mesh) => mesh.vertices.buffer);
  let faces = null;
  if (!facesSent && triangles.data) {
    faces = Uint16Array.from(numbers(triangles, Int32Array));
    facesSent = true;
  }
  return { line: JSON.stringify(rest), summary: summarise(rest), meshes, faces, transfers };
}

/** The numbers of an array that came as bytes; copied, as they may lie anywhere. */
const numbers = ({ data }, Kind) => new Kind(data.slice().buffer);

function tenths(metres) {
  const packed = new Int16Array(metres.length);
  for (let i = 0; i < metres.length; i += 1) packed[i] = Math.round(metres[i] * TENTHS_MM);
  return packed;
}

/** What the timeline and the plots show of a frame. */
function summarise(answer) {
  return {
    primary: answer.tracking.track_id,
    people: answer.people.map((person) => ({
      trackId: person.track_id,
      state: person.state,
      confidence: person.tracking_confidence,
      angles: Float32Array.from(Object.values(person.joint_angles_3d)),
    })),
    angleNames: Object.keys(answer.joint_angles_3d),
  };
}

/**
 * Sends the frames of videos as the Node.js backend does, and prints a line of JSON for each.
 *
 *   node backend.mjs URL POOL PACING_MS FOLDER [FOLDER ...]
 *
 * A folder is a video: its files `frame-1.png, frame-2.png, ...`, sorted as strings, so that 10 and 100 come before
 * 2, and `frame_number` is the place in that order. All folders are sent at once, each with POOL requests in flight
 * and a pause of PACING_MS after each answer, over one agent's kept connections. A request waits 120 s and is never
 * sent again.
 */

import { readFile, readdir } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import axios from "axios";

const TIMEOUT_MS = 120_000;

const [url, pool, pacingMs, ...folders] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true });
const service = axios.create({
  baseURL: url,
  timeout: TIMEOUT_MS,
  httpAgent: agent,
  proxy: false,
  maxBodyLength: Infinity,
  maxContentLength: Infinity,
  headers: { "Content-Type": "application/json", "Accept-Encoding": "gzip, deflate, br" },
});

await Promise.all(folders.map((folder) => send(folder)));
agent.destroy();

/** Send a folder's frames with `pool` requests in flight. */
async function send(folder) {
  const files = (await readdir(folder)).filter((name) => name.endsWith(".png")).sort();
  const places = files.keys(); // shared: whoever is free takes the next frame
  const workers = Array.from({ length: Number(pool) }, async () => {
    for (const place of places) {
      const sent = { folder, file: files[place], frame_number: place };
      console.log(JSON.stringify({ ...sent, ...(await pose(join(folder, files[place]), place)) }));
      await pause(Number(pacingMs));
    }
  });
  await Promise.all(workers);
}

/** What the backend reads of one answer. */
async function pose(path, frameNumber) {
  const started = performance.now();
  const fields = { image_base64: (await readFile(path)).toString("base64"), frame_number: frameNumber, visualize: false };
  try {
    const { status, data } = await service.post("/pose/hybrid", fields);
    return { status, elapsed_ms: performance.now() - started, ...read(data) };
  } catch (error) {
    return {
      status: error.response?.status ?? 0,
      elapsed_ms: performance.now() - started,
      error: error.response?.data?.error ?? error.message,
    };
  }
}

/** axios hands on text that is not JSON as it is; the backend then sees no keypoints, and no error. */
function read(data) {
  if (typeof data !== "object" || data === null) {
    return { is_json: false };
  }
  return {
    is_json: true,
    session_id: data.tracking.session_id,
    state: data.tracking.state,
    size: [data.frame_width, data.frame_height],
    answered_number: data.frame_number,
    keypoints: data.keypoints.map(({ name, x, y, confidence }) => ({ name, x, y, confidence })),
    counts: {
      keypoints: data.keypoint_count,
      joints: data.joints_3d_raw.length,
      angles: Object.keys(data.joint_angles_3d).length,
      vertices: data.mesh_vertices_data.length,
      faces: data.mesh_faces_data.length,
    },
    error: data.error,
  };
}

/**
 * Sends videos over the wire protocol and prints a line of JSON for each frame, then one with the broker's status.
 *
 *   node track.mjs ENDPOINT WINDOW FOLDER [FOLDER ...]
 *
 * A folder is a video, and a session of its own: its files in the order of their names, JPEG or whatever else the
 * service reads; of `.rgb` files, which are bare pixels, the name ends with the size: `0007-640x360.rgb`. All folders
 * are sent at once, each with WINDOW frames under way.
 */

import { randomUUID } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

import { Broker, ppm } from "./everyframe.mjs";

const [endpoint, window, ...folders] = process.argv.slice(2);
const broker = new Broker(endpoint);

await Promise.all(folders.map(track));
const { counters, limits } = await broker.status();
print({ counters, limits, connections: broker.connections });
broker.close();

async function track(folder) {
  const answers = broker.track(randomUUID(), pictures(folder), {
    window: Number(window),
    options: { meshes: false },
    source: { client: "node" },
  });
  for await (const { number, failure, result, arrays } of answers) {
    print({
      folder,
      number,
      code: failure?.code ?? null,
      message: failure?.message ?? null,
      people: result?.people.map(({ track_id, state }) => [track_id, state]),
      joints: arrays && { shape: arrays.joints.shape, numbers: [...arrays.joints.numbers] },
      vertices: arrays?.vertices.shape,
    });
  }
}

async function* pictures(folder) {
  for (const name of (await readdir(folder)).sort()) {
    const bytes = await readFile(join(folder, name));
    const size = name.match(/(\d+)x(\d+)\.rgb$/);
    yield size ? ppm(bytes, Number(size[1]), Number(size[2])) : bytes;
  }
}

function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

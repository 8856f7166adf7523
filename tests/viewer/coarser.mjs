// Prints what coarser.js makes of triangles. node coarser.mjs CODE FACES.json

import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';

const [, , code, faces] = process.argv;
const { coarser } = await import(pathToFileURL(code));
console.log(JSON.stringify([...coarser(Uint16Array.from(JSON.parse(await readFile(faces, 'utf8')).flat()))]));

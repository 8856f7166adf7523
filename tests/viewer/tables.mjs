// Prints what the viewer's own reader (its path comes first) finds in video files, as JSON.

import { openAsBlob } from 'node:fs';
import { readFile } from 'node:fs/promises';

const [, , script, ...files] = process.argv;
const source = await readFile(script, 'utf8');
const { readVideoTrack } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const tracks = [];
for (const file of files) {
  const track = await readVideoTrack(await openAsBlob(file));
  tracks.push(track && { ...track, config: { ...track.config, description: undefined } });
}
console.log(JSON.stringify(tracks));

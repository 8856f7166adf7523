// All frames in a row: coloured by what is known of the primary person, as high as that is certain; below, a row for each track.

import { STATES } from './results.js';
import { css, personColour } from './skeleton.js';
import { colour } from './theme.js';

const MOST_ROWS = 6;
const ROW_PX = 7;
const MAIN_PX = 44;
const LEAST_HEIGHT = 0.12; // of the row, so that a doubtful frame can still be seen

export class Timeline {
  /** @param {(number: number) => void} onPick called with the frame that is pointed at */
  constructor(canvas, onPick) {
    this._canvas = canvas;
    this._context = canvas.getContext('2d');
    this._results = null;
    this._current = 0;
    this._asked = false;
    const pick = (event) => {
      const share = event.offsetX / canvas.clientWidth;
      const { first, length } = this._results ?? { first: 0, length: 0 };
      if (length) onPick(first + Math.max(0, Math.min(length - first - 1, Math.floor(share * (length - first)))));
    };
    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId);
      pick(event);
    });
    canvas.addEventListener('pointermove', (event) => event.buttons && pick(event));
    new ResizeObserver(() => this.draw(this._results, this._current)).observe(canvas);
  }

  /** Show these results, with a mark at the frame `current`. */
  draw(results, current) {
    this._results = results;
    this._current = current;
    if (this._asked) return;
    this._asked = true;
    requestAnimationFrame(() => {
      this._asked = false;
      if (this._results) this._paint();
    });
  }

  _paint() {
    const results = this._results;
    const tracks = results.tracks.slice(0, MOST_ROWS);
    const ratio = devicePixelRatio;
    const width = this._canvas.clientWidth;
    const height = MAIN_PX + (tracks.length > 1 ? tracks.length * (ROW_PX + 2) + 3 : 0);
    this._canvas.style.height = `${height}px`;
    this._canvas.width = Math.round(width * ratio);
    this._canvas.height = Math.round(height * ratio);
    const context = this._context;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const column = width / Math.max(1, results.length - results.first);
    const snap = (x) => Math.round(x * ratio) / ratio; // to whole pixels, or colours would run into each other
    const colours = Object.fromEntries(STATES.map((state) => [state, colour(state)]));
    for (const entry of results.entries) {
      if (!entry?.state) continue;
      const place = entry.number - results.first;
      const x = snap(place * column);
      const wide = Math.max(snap((place + 1) * column) - x - (column > 4 ? 1 : 0), 1);
      const first = entry.people.find((person) => person.trackId === entry.primary);
      const share = Math.max(LEAST_HEIGHT, first?.confidence ?? 1);
      context.fillStyle = colours[entry.state];
      context.fillRect(x, MAIN_PX * (1 - share), wide, MAIN_PX * share);
      if (tracks.length < 2) continue;
      for (const person of entry.people) {
        const row = tracks.indexOf(person.trackId);
        if (row < 0) continue;
        context.fillStyle = colours[person.state];
        context.fillRect(x, MAIN_PX + 3 + row * (ROW_PX + 2), wide, ROW_PX);
      }
    }
    if (tracks.length > 1) this._nameRows(tracks);
    if (!results.length) return;
    context.fillStyle = colour('text');
    context.fillRect(snap(Math.min(width - 2, (this._current - results.first + 0.5) * column - 1)), 0, 2, height);
  }

  _nameRows(tracks) {
    const context = this._context;
    context.font = '600 9px system-ui, sans-serif';
    tracks.forEach((track, row) => {
      const y = MAIN_PX + 3 + row * (ROW_PX + 2);
      context.fillStyle = css(personColour(track));
      context.fillRect(0, y, 12, ROW_PX);
      context.fillStyle = '#10161c';
      context.fillText(String(track), 2, y + ROW_PX);
    });
  }
}

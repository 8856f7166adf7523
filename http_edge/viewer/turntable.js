// One body on a turntable: turned by hand, by keys or by itself.

import { Renderer, orbitCamera } from './gl.js';
import { SMPL_PARENTS, personColour } from './skeleton.js';

const TURN_PER_S = 0.5;
const LONGEST_STEP_S = 0.3;
const FRAME_MS = 33;
const FRAME_WITHOUT_GPU_MS = 400; // what draws here is taken from the poses
const RADIANS_PER_PX = 0.01;
const STEEPEST = 1.3;
const DISTANCE_M = 4.4;
const GRID_M = 0.75;
const GRID_STEP_M = 0.25;
const TENTHS_MM = 1e4;

export class Turntable {
  constructor(canvas) {
    this._canvas = canvas;
    this._yaw = 0.5;
    this._pitch = 0.18;
    this._body = null;
    this._asked = false;
    this._drawnAt = 0;
    this.turning = false;
    try {
      this._renderer = new Renderer(canvas);
    } catch {
      this._renderer = null;
      return;
    }
    this._followPointer();
    new ResizeObserver(() => this._resize()).observe(canvas);
  }

  /** Show this body: a mesh or, without one, its joints (24 of [x, y, z], metres). */
  show(body) {
    this._body = body;
    this._ask();
  }

  turn(on) {
    this.turning = on;
    this._drawnAt = performance.now();
    this._ask();
  }

  /** Turn by hand, radians. */
  rotate(yaw, pitch) {
    this._yaw += yaw;
    this._pitch = Math.max(-STEEPEST, Math.min(STEEPEST, this._pitch + pitch));
    this._ask();
  }

  _followPointer() {
    const canvas = this._canvas;
    canvas.addEventListener('pointerdown', (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener('pointermove', (event) => {
      if (event.buttons) this.rotate(event.movementX * RADIANS_PER_PX, event.movementY * RADIANS_PER_PX);
    });
  }

  _resize() {
    const longest = Math.max(this._canvas.clientWidth, this._canvas.clientHeight, 1);
    const ratio = Math.min(2, devicePixelRatio, this._renderer.longestPx / longest);
    this._canvas.width = Math.max(1, Math.round(this._canvas.clientWidth * ratio));
    this._canvas.height = Math.max(1, Math.round(this._canvas.clientHeight * ratio));
    this._ask();
  }

  _ask() {
    if (this._asked || !this._renderer) return;
    this._asked = true;
    const everyMs = this._renderer.hasGpu ? FRAME_MS : FRAME_WITHOUT_GPU_MS;
    const dueMs = Math.max(0, this._drawnAt + everyMs - performance.now());
    setTimeout(() => requestAnimationFrame(() => this._draw()), dueMs);
  }

  _draw() {
    this._asked = false;
    const now = performance.now();
    if (this.turning) this._yaw += TURN_PER_S * Math.min(LONGEST_STEP_S, (now - this._drawnAt) / 1e3);
    this._drawnAt = now;
    const aspect = this._canvas.width / this._canvas.height;
    const camera = orbitCamera({ yaw: this._yaw, pitch: this._pitch, distance: DISTANCE_M, aspect });
    const { meshes, lines } = this._body ? parts(this._body) : { meshes: [], lines: [] };
    this._renderer.draw(camera, meshes, lines);
    if (this.turning && this._body) this._ask();
  }
}

function parts({ trackId, vertices, faces, joints }) {
  const colour = [...personColour(trackId), 1];
  if (vertices && faces) {
    const middle = centre(vertices);
    const meshes = [{ vertices, faces, translation: middle.translation, colour }];
    return { meshes, lines: [{ points: grid(middle.bottom), colour: [0.5, 0.55, 0.6, 0.5] }] };
  }
  const points = SMPL_PARENTS.flatMap((parent, joint) => (parent < 0 ? [] : [...joints[parent], ...joints[joint]]));
  const bottom = Math.max(...joints.map((joint) => joint[1]));
  return {
    meshes: [],
    lines: [
      { points: Float32Array.from(points), colour },
      { points: grid(bottom), colour: [0.5, 0.55, 0.6, 0.5] },
    ],
  };
}

/** Moves the middle of a body's height to the origin; `bottom` is its lowest point then. */
function centre(vertices) {
  let [top, bottom] = [Infinity, -Infinity];
  for (let at = 1; at < vertices.length; at += 3) {
    top = Math.min(top, vertices[at]);
    bottom = Math.max(bottom, vertices[at]);
  }
  const middle = (top + bottom) / 2 / TENTHS_MM;
  return { translation: [0, -middle, 0], bottom: bottom / TENTHS_MM - middle };
}

/** A floor at this height. */
function grid(y) {
  const points = [];
  for (let at = -GRID_M; at <= GRID_M + 1e-9; at += GRID_STEP_M) {
    points.push(at, y, -GRID_M, at, y, GRID_M, -GRID_M, y, at, GRID_M, y, at);
  }
  return Float32Array.from(points);
}

// Draws bodies with WebGL: meshes lit from the eye, and lines. It knows matrices and numbers, nothing of poses.

const LONGEST_PX = 1920;
const LONGEST_WITHOUT_GPU_PX = 640; // where processors draw that the poses need
const CONTEXT = { alpha: true, premultipliedAlpha: true, preserveDrawingBuffer: true };
const METRES = 1e-4; // of one unit of a mesh's vertices
const PROCESSORS = /swiftshader|llvmpipe|softpipe|software|basic render/i; // what draws by name, where no GPU does

const VERTEX = `#version 300 es
uniform mat4 u_view, u_projection;
uniform vec3 u_translation;
uniform float u_scale;
layout(location = 0) in vec3 a_position;
layout(location = 1) in vec3 a_normal;
out vec3 v_normal, v_eye;
void main() {
  vec4 eye = u_view * vec4(a_position * u_scale + u_translation, 1.0);
  v_eye = eye.xyz;
  v_normal = mat3(u_view) * a_normal;
  gl_Position = u_projection * eye;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
uniform vec4 u_colour;
uniform float u_lit;
in vec3 v_normal, v_eye;
out vec4 colour;
void main() {
  vec3 shade = vec3(1.0);
  if (u_lit > 0.5) {
    vec3 normal = normalize(v_normal);
    vec3 to_eye = -normalize(v_eye);
    float facing = dot(normal, to_eye);
    float front = abs(facing);
    float above = 0.5 + 0.5 * dot(normal * sign(facing), normalize(vec3(0.3, u_lit > 1.5 ? 1.0 : -1.0, 0.2)));
    shade = vec3(0.28 + 0.5 * front + 0.26 * above);
  }
  colour = vec4(min(u_colour.rgb * shade, 1.0) * u_colour.a, u_colour.a);
}`;

/** Throws where the browser has no WebGL 2. */
export class Renderer {
  constructor(canvas) {
    this.hasGpu = hasGpu();
    const gl = canvas.getContext('webgl2', { ...CONTEXT, antialias: this.hasGpu });
    if (!gl) throw new Error('this browser has no WebGL 2');
    this._gl = gl;
    /** The longest side, pixels, that is drawn in good time. */
    this.longestPx = this.hasGpu ? LONGEST_PX : LONGEST_WITHOUT_GPU_PX;
    canvas.addEventListener('webglcontextlost', (event) => event.preventDefault());
    canvas.addEventListener('webglcontextrestored', () => this._build());
    this._build();
  }

  _build() {
    const gl = this._gl;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? 'WebGL');
    gl.useProgram(program);
    const names = ['u_view', 'u_projection', 'u_translation', 'u_scale', 'u_colour', 'u_lit'];
    this._places = Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(program, name)]));
    [this._positions, this._normals, this._indices] = [gl.createBuffer(), gl.createBuffer(), gl.createBuffer()];
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.CULL_FACE); // bodies are closed: their far sides are never seen, and cost a processor that draws a third
    this._uploaded = null;
  }

  /**
   * Draw anew.
   * @param {{view: Float32Array, projection: Float32Array, up: number}} camera matrices by columns; up: 1 where y goes up, else -1
   * @param {{vertices: Int16Array, faces: Uint16Array, translation: number[], colour: number[]}[]} meshes
   * @param {{points: Float32Array, colour: number[]}[]} lines pairs of points, metres
   */
  draw(camera, meshes, lines = []) {
    const gl = this._gl;
    gl.viewport(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix4fv(this._places.u_view, false, camera.view);
    gl.uniformMatrix4fv(this._places.u_projection, false, camera.projection);
    for (const mesh of meshes) this._mesh(mesh, camera.up);
    for (const line of lines) this._lines(line);
  }

  _mesh({ vertices, faces, translation, colour }, up) {
    const gl = this._gl;
    if (this._uploaded !== faces) {
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this._indices);
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, faces, gl.STATIC_DRAW);
      this._uploaded = faces;
    }
    this._attribute(0, this._positions, vertices, gl.SHORT);
    this._attribute(1, this._normals, normalsOf(vertices, faces), gl.FLOAT);
    this._set(translation, METRES, colour, up > 0 ? 2 : 1);
    gl.frontFace(up > 0 ? gl.CCW : gl.CW); // a camera whose y goes down mirrors the picture
    gl.drawElements(gl.TRIANGLES, faces.length, gl.UNSIGNED_SHORT, 0);
  }

  _lines({ points, colour }) {
    const gl = this._gl;
    this._attribute(0, this._positions, points, gl.FLOAT);
    gl.disableVertexAttribArray(1);
    this._set([0, 0, 0], 1, colour, 0);
    gl.drawArrays(gl.LINES, 0, points.length / 3);
  }

  _attribute(place, buffer, values, kind) {
    const gl = this._gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STREAM_DRAW);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, 3, kind, false, 0, 0);
  }

  _set(translation, scale, colour, lit) {
    const gl = this._gl;
    gl.uniform3fv(this._places.u_translation, translation);
    gl.uniform1f(this._places.u_scale, scale);
    gl.uniform4fv(this._places.u_colour, colour);
    gl.uniform1f(this._places.u_lit, lit);
  }
}

/** Asked of a canvas that nobody sees. Chromium calls its own drawing by processors no caveat, so its name is read as well. */
function hasGpu() {
  const gl = document.createElement('canvas').getContext('webgl2', { failIfMajorPerformanceCaveat: true });
  if (!gl) return false;
  const named = gl.getExtension('WEBGL_debug_renderer_info');
  const name = gl.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  gl.getExtension('WEBGL_lose_context')?.loseContext();
  return !PROCESSORS.test(name);
}

/** The direction of the surface at each vertex: that of its triangles, by their area. Not of unit length. */
function normalsOf(vertices, faces) {
  const normals = new Float32Array(vertices.length);
  for (let at = 0; at < faces.length; at += 3) {
    const [i, j, k] = [faces[at] * 3, faces[at + 1] * 3, faces[at + 2] * 3];
    const [ax, ay, az] = [vertices[j] - vertices[i], vertices[j + 1] - vertices[i + 1], vertices[j + 2] - vertices[i + 2]];
    const [bx, by, bz] = [vertices[k] - vertices[i], vertices[k + 1] - vertices[i + 1], vertices[k + 2] - vertices[i + 2]];
    const [nx, ny, nz] = [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx];
    for (const corner of [i, j, k]) {
      normals[corner] += nx;
      normals[corner + 1] += ny;
      normals[corner + 2] += nz;
    }
  }
  return normals;
}

export const IDENTITY = Float32Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);

/** The service's full-image camera: x right, y down, z away; pixels from the top left corner. */
export function pictureCamera({ focalPx, widthPx, heightPx, near, far }) {
  const [x, y] = [(2 * focalPx) / widthPx, (-2 * focalPx) / heightPx];
  const [depth, offset] = [(far + near) / (far - near), (-2 * far * near) / (far - near)];
  return { view: IDENTITY, projection: Float32Array.of(x, 0, 0, 0, 0, y, 0, 0, 0, 0, depth, 1, 0, 0, offset, 0), up: -1 };
}

/** A camera that goes round the origin of a body in the same axes, at a distance in metres. */
export function orbitCamera({ yaw, pitch, distance, aspect, focal = 3.4 }) {
  const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  // Rx(pitch) Ry(yaw) diag(1, -1, -1), by columns, then away from the eye
  const view = Float32Array.of(cy, sp * sy, -cp * sy, 0, 0, -cp, -sp, 0, -sy, sp * cy, -cp * cy, 0, 0, 0, -distance, 1);
  const [near, far] = [Math.max(0.1, distance - 4), distance + 4];
  const [depth, offset] = [-(far + near) / (far - near), (-2 * far * near) / (far - near)];
  const [x, y] = [focal / Math.max(1, aspect), focal * Math.min(1, aspect)];
  return { view, projection: Float32Array.of(x, 0, 0, 0, 0, y, 0, 0, 0, 0, depth, -1, 0, 0, offset, 0), up: 1 };
}

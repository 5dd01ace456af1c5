// The cortex: two hemispheres that turn; a click asks a vertex for its scores in every feature space.
for (const box of document.querySelectorAll(".cortex")) {
  const data = JSON.parse(box.dataset.cortex);
  box.removeAttribute("data-cortex");
  const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const numbers = (text, Kind) => new Kind(bytes(text).buffer);
  const canvas = box.querySelector("canvas");
  const [mapChoice, subjectChoice] = ["features", "subject"].map((name) => box.querySelector(`[name=${name}]`));
  const only = box.querySelector("[name=significant]");
  const asked = box.querySelector("output");
  const mark = box.querySelector(".mark");
  const gl = canvas.getContext("webgl", { antialias: true, alpha: true, preserveDrawingBuffer: true });
  if (!gl) {
    box.classList.add("unable");
    continue;
  }

  const total = data.coordinates.reduce((sum, text) => sum + bytes(text).length / 6, 0);
  const maps = data.maps.map((one) => ({
    ...one,
    scores: numbers(one.scores, Int8Array),
    bits: bytes(one.significant),
  }));
  const colours = bytes(data.colours);
  const furrows = data.furrow.map(bytes);
  const regions = Object.fromEntries(
    Object.entries(data.regions).map(([subject, text]) => [subject, numbers(text, Uint16Array)]),
  );
  const isSignificant = (map, vertex) => (map.bits[vertex >> 3] >> (vertex & 7)) & 1;

  // Hemispheres lie apart, so that neither hides in the other.
  const sides = data.coordinates.map((text, side) => {
    const whole = numbers(text, Int16Array);
    const positions = new Float32Array(whole.length);
    for (let i = 0; i < whole.length; i++) positions[i] = whole[i] / 32767;
    const own = new Float32Array(positions);
    const faces = numbers(data.faces[side], Uint16Array);
    const normals = new Float32Array(positions.length);
    for (let f = 0; f < faces.length; f += 3) {
      const [a, b, c] = [faces[f] * 3, faces[f + 1] * 3, faces[f + 2] * 3];
      const u = [0, 1, 2].map((k) => own[b + k] - own[a + k]);
      const v = [0, 1, 2].map((k) => own[c + k] - own[a + k]);
      const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) normals[corner + k] += n[k];
    }
    for (let i = 0; i < normals.length; i += 3) {
      const length = Math.hypot(normals[i], normals[i + 1], normals[i + 2]) || 1;
      for (let k = 0; k < 3; k++) normals[i + k] /= length;
    }
    const wide = positions.reduce((most, value, i) => (i % 3 ? most : Math.max(most, Math.abs(value))), 0);
    for (let i = 0; i < positions.length; i += 3) positions[i] += (side ? 1.05 : -1.05) * wide;
    return { first: side ? data.left : 0, count: positions.length / 3, positions, normals, faces };
  });

  const shader = (kind, source) => {
    const made = gl.createShader(kind);
    gl.shaderSource(made, source);
    gl.compileShader(made);
    return made;
  };
  const program = gl.createProgram();
  gl.attachShader(program, shader(gl.VERTEX_SHADER, `
    attribute vec3 position, normal, colour;
    uniform mat3 turn;
    uniform vec3 scale, centre;
    varying vec3 shade;
    void main() {
      vec3 seen = turn * (position - centre);
      gl_Position = vec4(seen * scale, 1.0);
      shade = colour * (0.55 + 0.45 * max((turn * normal).z, 0.0));
    }`));
  gl.attachShader(program, shader(gl.FRAGMENT_SHADER, `
    precision mediump float;
    varying vec3 shade;
    void main() { gl_FragColor = vec4(shade, 1.0); }`));
  gl.linkProgram(program);
  gl.useProgram(program);
  gl.enable(gl.DEPTH_TEST);
  const place = Object.fromEntries(["turn", "scale", "centre"].map((name) => [name, gl.getUniformLocation(program, name)]));
  const buffer = (kind, values) => {
    const made = gl.createBuffer();
    gl.bindBuffer(kind, made);
    gl.bufferData(kind, values, gl.STATIC_DRAW);
    return made;
  };
  for (const side of sides) {
    side.buffers = {
      position: buffer(gl.ARRAY_BUFFER, side.positions),
      normal: buffer(gl.ARRAY_BUFFER, side.normals),
      colour: gl.createBuffer(),
    };
    side.index = buffer(gl.ELEMENT_ARRAY_BUFFER, side.faces);
  }

  // Where the camera stands, which hemispheres are drawn, and how large.
  const views = {
    "left-outside": { yaw: Math.PI, pitch: 0, shown: [0] },
    "left-inside": { yaw: 0, pitch: 0, shown: [0] },
    "right-inside": { yaw: Math.PI, pitch: 0, shown: [1] },
    "right-outside": { yaw: 0, pitch: 0, shown: [1] },
    above: { yaw: -Math.PI / 2, pitch: Math.PI / 2 - 1e-3, shown: [0, 1] },
  };
  let view = { ...views["left-outside"], zoom: 1 };
  let chosen = -1;

  // A subject may have no map of a feature space: the cortex is grey then.
  const current = () => maps.find((one) => one.subject === subjectChoice.value && one.features === mapChoice.value);

  const paint = () => {
    const map = current();
    for (const [number, side] of sides.entries()) {
      const painted = new Float32Array(side.count * 3);
      for (let i = 0; i < side.count; i++) {
        const vertex = side.first + i;
        const score = map ? map.scores[vertex] : -128;
        const grey = furrows[number][i] ? 0.5 : 0.72;
        const plain = score === -128 || (only.checked && !isSignificant(map, vertex));
        const at = 3 * Math.min(255, Math.max(0, Math.round((255 * score) / 100 / data.top)));
        for (let k = 0; k < 3; k++) painted[3 * i + k] = plain ? grey : colours[at + k] / 255;
      }
      gl.bindBuffer(gl.ARRAY_BUFFER, side.buffers.colour);
      gl.bufferData(gl.ARRAY_BUFFER, painted, gl.DYNAMIC_DRAW);
    }
  };

  const camera = () => {
    const [cy, sy, cp, sp] = [Math.cos(view.yaw), Math.sin(view.yaw), Math.cos(view.pitch), Math.sin(view.pitch)];
    // Rows: to the right of the screen, up, towards the viewer.
    const rows = [[-sy, cy, 0], [-sp * cy, -sp * sy, cp], [cp * cy, cp * sy, sp]];
    const aspect = canvas.width / canvas.height;
    // A hemisphere is longer than it is high: on its side it may grow.
    const size = (view.shown.length > 1 ? 0.92 : aspect > 1 ? 1.2 : 0.95) * view.zoom;
    const scale = aspect > 1 ? [size / aspect, size, -0.3] : [size, size * aspect, -0.3];
    const middle = view.shown.length > 1 ? 0 : sides[view.shown[0]].positions.reduce(
      (sum, value, i) => (i % 3 ? sum : sum + value), 0) / sides[view.shown[0]].count;
    return { rows, scale, centre: [middle, 0, 0] };
  };

  const project = (side, i, at) => {
    const p = [0, 1, 2].map((k) => side.positions[3 * i + k] - at.centre[k]);
    const seen = at.rows.map((row) => row[0] * p[0] + row[1] * p[1] + row[2] * p[2]);
    return [(seen[0] * at.scale[0] + 1) / 2, (1 - seen[1] * at.scale[1]) / 2, seen[2]];
  };

  const draw = () => {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const [width, height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio].map(Math.round);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const at = camera();
    const columns = [0, 1, 2].flatMap((k) => at.rows.map((row) => row[k]));
    gl.uniformMatrix3fv(place.turn, false, columns);
    gl.uniform3fv(place.scale, at.scale);
    gl.uniform3fv(place.centre, at.centre);
    for (const number of view.shown) {
      const side = sides[number];
      for (const [name, made] of Object.entries(side.buffers)) {
        const attribute = gl.getAttribLocation(program, name);
        gl.bindBuffer(gl.ARRAY_BUFFER, made);
        gl.enableVertexAttribArray(attribute);
        gl.vertexAttribPointer(attribute, 3, gl.FLOAT, false, 0, 0);
      }
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, side.index);
      gl.drawElements(gl.TRIANGLES, side.faces.length, gl.UNSIGNED_SHORT, 0);
    }
    const number = sides.findIndex((side) => chosen >= side.first && chosen < side.first + side.count);
    mark.hidden = number < 0 || !view.shown.includes(number);
    if (!mark.hidden) {
      const [x, y] = project(sides[number], chosen - sides[number].first, at);
      Object.assign(mark.style, { left: `${100 * x}%`, top: `${100 * y}%` });
    }
  };

  const tell = () => {
    if (chosen < 0) return;
    const subject = subjectChoice.value;
    const labels = regions[subject];
    const region = (labels && data.names[labels[chosen]]) || "in no region";
    const side = chosen < data.left ? "Left" : "Right";
    const rows = maps.filter((one) => one.subject === subject).map((one) => {
      const score = one.scores[chosen];
      const row = document.createElement("tr");
      const cells = [
        ["th", one.features],
        ["td", score === -128 ? "none" : (score / 100).toFixed(2)],
        ["td", score === -128 ? "" : isSignificant(one, chosen) ? "significant" : "not significant"],
      ];
      row.append(...cells.map(([kind, text]) => Object.assign(document.createElement(kind), { textContent: text })));
      row.firstChild.scope = "row";
      return row;
    });
    const heading = document.createElement("p");
    heading.textContent =
      `${side} hemisphere, vertex ${chosen < data.left ? chosen : chosen - data.left}, ${region}; subject ${subject}`;
    const table = document.createElement("table");
    table.append(...rows);
    asked.replaceChildren(heading, table);
  };

  const ask = (x, y) => {
    const at = camera();
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const near = [];
    for (const number of view.shown) {
      const side = sides[number];
      for (let i = 0; i < side.count; i++) {
        const normal = at.rows[2].reduce((sum, value, k) => sum + value * side.normals[3 * i + k], 0);
        if (normal <= 0) continue;
        const [px, py, depth] = project(side, i, at);
        const away = Math.hypot((px - x) * width, (py - y) * height);
        if (away < 60) near.push({ vertex: side.first + i, depth, away });
      }
    }
    // The foremost of the vertices under the pointer; on a cortex that is magnified, the nearest one.
    const under = near.filter((one) => one.away < 8);
    const order = under.length ? (one) => one.depth - one.away / 100 : (one) => -one.away;
    const best = (under.length ? under : near).reduce((a, b) => (!a || order(b) > order(a) ? b : a), null);
    if (!best) return;
    chosen = best.vertex;
    tell();
    draw();
  };

  let held = null;
  canvas.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) return;
    const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
    if (!held.moved && Math.hypot(dx, dy) < 4) return;
    Object.assign(held, { x: event.clientX, y: event.clientY, moved: true });
    turn(-dx / 150, dy / 150);
  });
  canvas.addEventListener("pointerup", (event) => {
    const box = canvas.getBoundingClientRect();
    if (held && !held.moved) ask((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    held = null;
  });
  canvas.addEventListener("pointercancel", () => (held = null));
  const turn = (yaw, pitch) => {
    view.yaw += yaw;
    view.pitch = Math.max(-Math.PI / 2, Math.min(Math.PI / 2, view.pitch + pitch));
    draw();
  };
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, 0.15], ArrowDown: [0, -0.15] }[event.key];
    const zoom = { "+": 1.1, "-": 1 / 1.1 }[event.key];
    if (!step && !zoom) return;
    event.preventDefault();
    if (step) return turn(...step);
    view.zoom = Math.max(0.5, Math.min(6, view.zoom * zoom));
    draw();
  });
  for (const button of box.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => {
      view = { ...views[button.dataset.view], zoom: view.zoom };
      draw();
    });
  }
  box.querySelector(".largest").addEventListener("click", () => {
    const map = current();
    if (!map) return;
    chosen = 0;
    for (let i = 0; i < total; i++) if (map.scores[i] > map.scores[chosen]) chosen = i;
    view = { ...views[chosen < data.left ? "left-outside" : "right-outside"], zoom: view.zoom };
    tell();
    draw();
  });
  for (const control of [mapChoice, subjectChoice, only]) {
    control.addEventListener("change", () => {
      paint();
      tell();
      draw();
    });
  }
  const bar = box.querySelector(".bar");
  const stops = [...Array(18).keys()].map((i) => `rgb(${[0, 1, 2].map((k) => colours[15 * i * 3 + k]).join()})`);
  bar.style.background = `linear-gradient(to right, ${stops.join()})`;
  box.querySelector(".top").textContent = data.top.toFixed(2);
  new ResizeObserver(draw).observe(canvas);
  paint();
  draw();
}

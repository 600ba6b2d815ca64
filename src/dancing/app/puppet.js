// Draws the skeleton as SVG. A dragged joint takes along what hangs on it. Only the newest pose is sent to be painted.
const [svg, image, slider, note] = ["svg", "img", "input", ".note"].map((name) => element.querySelector(name));
const arm = (side) => [11, 13, 15, 17, 19, 21].map((joint) => joint + side);
const leg = (side) => [23, 25, 27, 29, 31].map((joint) => joint + side);
const head = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
// The joint that is dragged, and the landmarks that move with it.
const handles = [[0, head, "head"], ["body", [...Array(33).keys()], "whole body"]];
for (const [side, name] of [[0, "left"], [1, "right"]]) {
  handles.push([11 + side, arm(side), `${name} shoulder`], [13 + side, arm(side).slice(1), `${name} elbow`]);
  handles.push([15 + side, arm(side).slice(2), `${name} wrist`], [23 + side, leg(side), `${name} hip`]);
  handles.push([25 + side, leg(side).slice(1), `${name} knee`], [27 + side, leg(side).slice(2), `${name} ankle`]);
}
const HEIGHT = 100;
let pose, width, bones, busy = false, waiting = false;

const make = (tag, parent) => parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", tag));
const place = (joint) => joint === "body"
  ? [(pose[23][0] + pose[24][0]) / 2, (pose[23][1] + pose[24][1]) / 2] : pose[joint];

function draw() {
  svg.querySelectorAll("line").forEach((line, i) => {
    const [a, b] = bones[i].map((joint) => pose[joint]);
    for (const [key, value] of [["x1", a[0] * width], ["y1", a[1] * HEIGHT], ["x2", b[0] * width], ["y2", b[1] * HEIGHT]])
      line.setAttribute(key, value);
  });
  svg.querySelectorAll("circle").forEach((circle, i) => {
    const [x, y] = place(handles[i][0]);
    circle.setAttribute("cx", x * width);
    circle.setAttribute("cy", y * HEIGHT);
  });
}

async function paint() {
  waiting = true;
  if (busy) return;
  busy = true;
  while (waiting) {
    waiting = false;
    try {
      image.src = await server.paint(pose);
    } catch (error) {
      note.textContent = `The image could not be made: ${error.message ?? error}`;
    }
  }
  busy = false;
}

function move([joint, moving], x, y) {
  const [fromX, fromY] = place(joint), within = (value) => Math.min(Math.max(value, 0), 1);
  const [byX, byY] = [within(x) - fromX, within(y) - fromY];
  for (const i of moving) pose[i] = [pose[i][0] + byX, pose[i][1] + byY];
  draw();
  paint();
}

function hold(circle, handle) {
  const at = (event) => {
    const box = svg.getBoundingClientRect(), scale = Math.min(box.width / width, box.height / HEIGHT);
    return [0.5 + (event.clientX - box.x - box.width / 2) / scale / width,
            0.5 + (event.clientY - box.y - box.height / 2) / scale / HEIGHT];
  };
  circle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    circle.setPointerCapture(event.pointerId);
    circle.classList.add("held");
    circle.onpointermove = (moved) => move(handle, ...at(moved));
  });
  for (const end of ["pointerup", "pointercancel"]) circle.addEventListener(end, () => {
    circle.onpointermove = null;
    circle.classList.remove("held");
  });
  circle.addEventListener("keydown", (event) => {  // by the arrow keys too
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [x, y] = place(handle[0]);
    move(handle, x + step[0] / 100, y + step[1] / 100);
  });
}

(async () => {
  const found = await server.start();
  note.textContent = found.error ?? "";
  if (found.error) return;
  bones = found.bones;
  width = HEIGHT * found.ratio;
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  for (const [a, b] of bones) make("line", svg).setAttribute("class", a < 11 || a % 2 !== b % 2 ? "" : a % 2 ? "left" : "right");
  for (const handle of handles) {
    const circle = make("circle", svg);
    circle.setAttribute("r", handle[0] === "body" ? 2.4 : 1.6);
    circle.setAttribute("tabindex", 0);
    circle.setAttribute("aria-label", handle[2]);
    hold(circle, handle);
  }
  const show = () => {
    pose = found.poses[slider.value].map((point) => [...point]);
    draw();
    paint();
  };
  slider.max = found.poses.length - 1;
  slider.addEventListener("input", show);
  show();
})();

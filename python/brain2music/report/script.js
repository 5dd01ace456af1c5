"use strict";

// Players: one at a time; a line moves over the spectrogram; a click there plays from there.
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const sounds = [...document.querySelectorAll("audio")];
for (const sound of sounds) {
  const picture = sound.closest(".player").querySelector(".spectrogram");
  const mark = () => picture.style.setProperty("--at", sound.currentTime / sound.duration || 0);
  const follow = () => {
    mark();
    if (!sound.paused && !calm.matches) requestAnimationFrame(follow);
  };
  sound.addEventListener("timeupdate", mark);
  sound.addEventListener("play", () => {
    for (const other of sounds) if (other !== sound) other.pause();
    picture.classList.add("begun");
    follow();
  });
  picture.addEventListener("click", (event) => {
    if (!sound.duration) return;
    const box = picture.getBoundingClientRect();
    sound.currentTime = (sound.duration * (event.clientX - box.left)) / box.width;
    sound.play();
  });
}

// Figures: a button shows one as large as the screen allows.
const dialog = document.createElement("dialog");
const close = Object.assign(document.createElement("button"), { type: "button", textContent: "Close" });
const large = document.createElement("img");
dialog.append(close, large);
dialog.addEventListener("click", () => dialog.close());
document.body.append(dialog);
for (const figure of document.querySelectorAll("figure:not(.turning)")) {
  const image = figure.querySelector("img");
  const title = figure.querySelector("strong").textContent;
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Enlarge" });
  button.setAttribute("aria-label", `Enlarge: ${title}`);
  button.addEventListener("click", () => {
    large.src = image.src;
    large.alt = image.alt;
    dialog.setAttribute("aria-label", title);
    dialog.showModal();
  });
  figure.querySelector("figcaption").append(button);
}

// The section in view is marked in the navigation.
const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const seen = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const link = links.get(target.id);
      if (isIntersecting) {
        link.setAttribute("aria-current", "location");
        const box = link.closest("ol");
        box.scrollLeft = link.offsetLeft - (box.clientWidth - link.offsetWidth) / 2;
      } else link.removeAttribute("aria-current");
    }
  },
  { rootMargin: "-20% 0px -80% 0px" },
);
for (const section of document.querySelectorAll("main > section")) seen.observe(section);

// On paper nothing can be opened.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

export function inChromium() {}

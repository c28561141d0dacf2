// The first that matches counts: Edge and Opera call themselves Chrome too, and Chrome calls itself Safari.
const browsers = [[/Edg/, "Edge"], [/OPR/, "Opera"], [/Firefox/, "Firefox"], [/Chrome/, "Chrome"], [/Safari/, "Safari"]] as const;
const systems = [[/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/Windows/, "Windows"], [/Mac OS/, "macOS"], [/Linux/, "Linux"]] as const;

/** A short name for a user agent, such as "Firefox on Linux". */
export function deviceName(userAgent: string | null): string {
  const find = (names: typeof browsers | typeof systems) => names.find(([pattern]) => pattern.test(userAgent ?? ""))?.[1];
  const [browser, system] = [find(browsers), find(systems)];
  return browser && system ? `${browser} on ${system}` : (userAgent ?? "Unknown device");
}

import { useState } from "react";
import type { AuthenticationMethod } from "../gql/graphql";

/** The ways to prove who one is, the easiest first. */
const WAYS = {
  PASSKEY: "Use your passkey",
  TOTP: "Use your authenticator app",
  RECOVERY_CODE: "Use a recovery code",
  PASSWORD: "Use your password",
} as const;
type Way = keyof typeof WAYS;

const waysOf = (methods: readonly AuthenticationMethod[]) => (Object.keys(WAYS) as Way[]).filter((way) => methods.includes(way));

/** The way that is shown: the first of these methods, until the person chooses another one. */
export const useWay = (methods: readonly AuthenticationMethod[]) => useState(waysOf(methods)[0]);

interface OtherWaysProps {
  methods: readonly AuthenticationMethod[];
  way: Way | undefined;
  setWay: (way: Way) => void;
}

/** Links to the ways that are not shown. */
export const OtherWays = ({ methods, way, setWay }: OtherWaysProps) =>
  waysOf(methods)
    .filter((other) => other !== way)
    .map((other) => <button key={other} className="link" onClick={() => { setWay(other); }}>{WAYS[other]}</button>);

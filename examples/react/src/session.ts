import { createSession } from "@portico/client";
import { stepUp } from "./stepUp";

export const url = import.meta.env.VITE_PORTICO_URL ?? "http://localhost:8000/graphql";

/** Who is signed in here, in all tabs of this origin. Its refresh token is in a cookie that no script can read. */
export const session = createSession({ url, stepUp });

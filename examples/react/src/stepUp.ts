import { useSyncExternalStore } from "react";
import type { AuthenticationMethod } from "./gql/graphql";

/** What to ask the user for, until it is answered. */
interface Question {
  methods: readonly AuthenticationMethod[];
  answer: (proved: boolean) => void;
}

let question: Question | null = null;
const listeners = new Set<() => void>();

function show(next: Question | null) {
  question = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Opens the dialog. Resolves to whether the user has proved who they are: the refused request is sent again then. */
export const stepUp = ({ methods }: Pick<Question, "methods">) =>
  new Promise<boolean>((resolve) => {
    const answer = (proved: boolean) => {
      show(null);
      resolve(proved);
    };
    show({ methods, answer });
  });

export const cancelStepUp = () => question?.answer(false);

export const useStepUpQuestion = () => useSyncExternalStore(subscribe, () => question);

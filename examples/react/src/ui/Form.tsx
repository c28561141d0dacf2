import { createContext, use, useId, useState, type ComponentProps, type ReactNode } from "react";
import { explain, problem, type Issue, type Result } from "../results";
import { Question } from "./Question";

const Issues = createContext<readonly Issue[]>([]);

/** The text of the fields of a form, by their names. */
export type Values<Name extends string> = Record<Name, string>;

interface FormProps<Name extends string> {
  submit: (values: Values<Name>) => Promise<Result>;
  button: string;
  /** The name of the button, where its text alone does not say what it is about. */
  label?: string;
  look?: "danger" | "quiet";
  /** Whether the form can be used again after it has succeeded. */
  reusable?: boolean;
  /** What to tell, and to ask once, before anything is done. */
  warning?: string | undefined;
  /** Of the button, of a form without fields. */
  autoFocus?: boolean;
  children?: ReactNode;
}

export function Form<Name extends string>({ submit, button, label, look, reusable, warning, autoFocus, children }: FormProps<Name>) {
  const [result, setResult] = useState<Result>();
  const [pending, setPending] = useState(false);
  const [asked, setAsked] = useState<HTMLFormElement>();

  // Not `useActionState`: React shows the result of no action while another one runs, but while one waits
  // for a step-up, the dialog has to show its results.
  async function run(form: HTMLFormElement) {
    setPending(true);
    const values = Object.fromEntries(new FormData(form)) as Values<Name>;
    const next = missing(form) ?? (await submit(values).catch((error: unknown) => problem({ message: explain(error) })));
    setResult(next);
    setPending(false);
    focusOn(form, next.issues?.[0]);
  }

  const usable = !result?.ok || reusable;

  return (
    <>
      {usable && (
        // Not `disabled` while pending: the button would lose the focus, and a dialog could not give it back.
        // Not `action`: React would empty the fields after a refusal. The server checks the values.
        <form
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            if (pending) return;
            if (warning) setAsked(event.currentTarget);
            else void run(event.currentTarget);
          }}
        >
          <Issues value={result?.issues ?? []}>{children}</Issues>
          <button className={look} aria-disabled={pending} aria-label={label} autoFocus={autoFocus}>
            {button}
          </button>
        </form>
      )}
      {asked && (
        <Question
          title={`${label ?? button}?`}
          button={button}
          answer={(yes) => {
            setAsked(undefined);
            if (yes) void run(asked);
          }}
        >
          <p>{warning}</p>
        </Question>
      )}
      <p role="alert">{result?.ok === false && result.message}</p>
      <p role="status">{result?.ok && result.message}</p>
    </>
  );
}

/**
 * The problem of a form with an empty field that is required: it is not sent. Required are those that the server does
 * not refuse when they are empty, and codes, of which it counts the wrong ones.
 */
function missing(form: HTMLFormElement): Result | undefined {
  const fields = [...form.querySelectorAll<HTMLInputElement>("input:required")].filter(({ value }) => value.trim() === "");
  if (fields.length === 0) return undefined;
  const issues = fields.map(({ name }) => ({ path: [name], message: "This is empty." }));
  return problem({ message: "Fill in what is missing.", issues });
}

function focusOn(form: HTMLFormElement, issue: Issue | undefined) {
  const field = issue && form.elements.namedItem(issue.path.at(-1) ?? "");
  if (field instanceof HTMLElement) field.focus();
}

interface FieldProps extends ComponentProps<"input"> {
  name: string;
  label: string;
  hint?: string | undefined;
}

export function Field({ name, label, hint, ...input }: FieldProps) {
  const id = useId();
  const issues = use(Issues).filter(({ path }) => path.at(-1) === name);
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input id={id} name={name} aria-describedby={`${id}-notes`} aria-invalid={issues.length > 0} {...input} />
      <div id={`${id}-notes`} className="notes">
        {issues.map(({ message }) => <p key={message} className="issue">{message}</p>)}
        {issues.length === 0 && hint && <p>{hint}</p>}
      </div>
    </div>
  );
}

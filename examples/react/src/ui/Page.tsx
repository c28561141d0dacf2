import type { ReactNode } from "react";

export function Page({ title, children }: { title: string; children: ReactNode }) {
  return (
    <>
      <title>{`${title} · Portico`}</title>
      <h1>{title}</h1>
      {children}
    </>
  );
}

interface CardProps {
  title: string;
  /** Takes the focus when it appears: it replaces what had it. */
  focused?: boolean;
  children: ReactNode;
}

const focus = (element: HTMLElement | null) => element?.focus();

export function Card({ title, focused, children }: CardProps) {
  return (
    <section className="card" aria-label={title} {...(focused && { tabIndex: -1, ref: focus })}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

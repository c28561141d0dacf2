import { useState } from "react";
import { useMutate } from "../apollo";
import type { FactorProps } from "../factorProps";
import { graphql } from "../gql";
import { useRefreshMe } from "../me";
import { done, problem, unhandled } from "../results";
import { CodeField } from "../ui/CodeField";
import { Form, type Values } from "../ui/Form";
import { Card } from "../ui/Page";
import { QrCode } from "../ui/QrCode";
import { SendVerification } from "../ui/SendVerification";

const BeginTotpEnrollment = graphql(`
  mutation BeginTotpEnrollment {
    outcome: beginTotpEnrollment {
      __typename
      ... on TotpEnrollment {
        secret
        otpauthUri
      }
      ...Problem
    }
  }
`);

const ConfirmTotpEnrollment = graphql(`
  mutation ConfirmTotpEnrollment($input: ConfirmTotpEnrollmentInput!) {
    outcome: confirmTotpEnrollment(input: $input) {
      __typename
      ... on FactorAdded {
        recoveryCodes
      }
      ...Problem
    }
  }
`);

interface Enrollment {
  secret: string;
  otpauthUri: string;
}

export function EnrollApp({ tell, added }: FactorProps) {
  const [enrollment, setEnrollment] = useState<Enrollment>();
  const [isUnverified, setUnverified] = useState(false);
  const [isRestarted, setRestarted] = useState(false);
  const mutate = useMutate();
  const refreshMe = useRefreshMe();

  async function begin() {
    tell("");
    // Not cached: the secret is kept by this component alone.
    const { outcome } = await mutate({ mutation: BeginTotpEnrollment, fetchPolicy: "no-cache" });
    switch (outcome.__typename) {
      case "TotpEnrollment":
        setEnrollment(outcome);
        return done("Begun.");
      case "EmailNotVerified":
        setUnverified(true);
        return problem(outcome);
      case "FactorAlreadyEnrolled":
        tell(outcome.message); // the page that shows the app does not have this form
        await refreshMe();
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  function restart(notice: string) {
    setEnrollment(undefined);
    setRestarted(true);
    tell(notice);
  }

  if (enrollment) return <ConfirmApp {...enrollment} restart={restart} added={added} />;
  return (
    <Card title="Set up an authenticator app" focused={isRestarted}>
      <p>Signing in with your password then asks for a code of an app on your phone. Who knows your password alone cannot sign in.</p>
      <Form submit={begin} button="Set up" reusable />
      {isUnverified && <SendVerification />}
    </Card>
  );
}

interface ConfirmAppProps extends Enrollment, Pick<FactorProps, "added"> {
  restart: (notice: string) => void;
}

function ConfirmApp({ secret, otpauthUri, restart, added }: ConfirmAppProps) {
  const mutate = useMutate();
  const refreshMe = useRefreshMe();

  async function confirm(input: Values<"code">) {
    const { outcome } = await mutate({
      mutation: ConfirmTotpEnrollment,
      variables: { input },
      fetchPolicy: "no-cache",
    });
    switch (outcome.__typename) {
      case "FactorAdded":
        await added("The authenticator app", outcome.recoveryCodes);
        return done("Added.");
      case "ChallengeExpired":
        restart(outcome.message);
        await refreshMe(); // it may have been enrolled elsewhere
        return problem(outcome);
      case "InvalidCode":
      case "RateLimited":
        return problem(outcome);
      default:
        return unhandled(outcome);
    }
  }

  return (
    <Card title="Scan this with your authenticator app" focused>
      <QrCode text={otpauthUri} label="QR code for an authenticator app" />
      <p>
        If you cannot scan it, <a href={otpauthUri}>open it in an app on this device</a> or type this key:{" "}
        <code className="secret">{secret.match(/.{1,4}/g)?.join(" ")}</code>
      </p>
      <Form submit={confirm} button="Confirm">
        <CodeField name="code" />
      </Form>
      <button className="quiet" onClick={() => { restart(""); }}>Cancel</button>
    </Card>
  );
}

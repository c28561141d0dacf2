import { graphql } from "relay-runtime";

graphql`
  mutation sessionLoginMutation($input: LoginInput!) {
    login(input: $input) {
      __typename
      ... on SignedIn {
        user {
          ...people_profile
        }
        tokens {
          accessToken
          accessTokenExpiresAt
        }
      }
      ... on Problem {
        message
      }
      ... on RateLimited {
        retryAfter
      }
    }
  }
`;

import type { ResultOf } from "@graphql-typed-document-node/core";
import { graphql } from "../generated";

const PROFILES = graphql(`
  query Profiles($slug: String!, $first: Int!, $after: String) {
    client(slug: $slug) {
      id
      profiles(first: $first, after: $after) {
        edges {
          cursor
          node {
            id
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  }
`);

type Page = NonNullable<ResultOf<typeof PROFILES>["client"]>["profiles"];

/** The ids of one page; compiles only while the schema gives ids and cursors as strings. */
export function ids(page: Page): string[] {
  return page.edges.map((edge) => edge.node.id);
}

/** Where the next page starts, null on the last one. */
export function next(page: Page): string | null {
  return page.pageInfo.hasNextPage ? (page.pageInfo.endCursor ?? null) : null;
}

/** A misspelt field must not compile, or the generated types would be worth nothing. */
export function misspelt(page: Page): unknown {
  // @ts-expect-error there is no such field
  return page.edgez;
}

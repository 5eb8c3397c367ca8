"""Routes that say what they take and answer; `/api/openapi.json` is made of that.

    from api.schema.operation import operation
    from api.schema.values import Query, RowId, Text

    class MessagesQuery(Query):
        account: Text = Field("", description="Only messages of this account.")
        limit: int = Field(50, ge=1, le=200)

    @routes.get("/api/messages/")
    @operation("messages", "List and search messages", answers={200: MessagePage}, problems={503: "No database."})
    async def messages(request: web.Request, query: MessagesQuery) -> MessagePage: ...

- `@operation` stands below the route's decorator. Path and method are the router's; nothing is said twice.
- Arguments named `path`, `query`, `headers` and `body` are given to the handler, validated by the pydantic model that
  annotates them; what does not fit never reaches it (404 for `path`, else 400). `body: Model | None` may be left out.
- A handler returns the model (sent as JSON with the first status of `answers`), `as_json(model, status=202)`, or any
  `web.StreamResponse` (then say its media type: `answers={200: Content("text/event-stream", "Events as they come.")}`).
- `problems` are the statuses of the `Problem`s it raises itself. What the middlewares answer (wrong host, no
  credentials, no CSRF token, too many guesses, body too large) is added for all.
- Every route that is no page for people has one; a test fails otherwise.
- Row ids are `RowId`s and texts that reach the database are `Text`s: what a database refuses is then refused before.
"""

import Storage

enum Schema {
    /// `deployment` is empty for what is being edited; else the rows are the copy that the deployment serves.
    static let migrations = Migrations(
        service: "apigateway",
        steps: [
            """
            CREATE TABLE apigateway_api (
                id TEXT NOT NULL PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, protocol TEXT NOT NULL,
                created BIGINT NOT NULL, document BLOB NOT NULL
            ) WITHOUT ROWID;
            CREATE INDEX apigateway_api_scope ON apigateway_api (account, region, id);
            CREATE TABLE apigateway_item (
                api TEXT NOT NULL, deployment TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
                document BLOB NOT NULL, PRIMARY KEY (api, deployment, kind, id)
            ) WITHOUT ROWID;
            """
        ])
}

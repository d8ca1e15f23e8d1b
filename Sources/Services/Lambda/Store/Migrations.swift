import Storage

/// Lambda's tables. Every one is keyed by account and Region; configurations are one JSON column, what is searched for
/// is a column of its own.
enum LambdaMigrations {
    static let all = Migrations(
        service: "lambda", steps: [first, coveringIndexes, MappingTable.migration, URLTable.migration])

    /// So that sums, generations and lists of functions are read from an index, not from every version's configuration:
    /// the first two run in the writer's transactions.
    private static let coveringIndexes = """
        CREATE INDEX lambda_versions_size ON lambda_versions (account, region, code_size);
        CREATE INDEX lambda_versions_generation ON lambda_versions (account, region, name, generation);
        CREATE INDEX lambda_versions_latest ON lambda_versions (account, region, name) WHERE number = 0;
        CREATE INDEX lambda_layer_versions_size ON lambda_layer_versions (account, region, code_size);
        """

    private static let first = """
        CREATE TABLE lambda_functions (
            account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
            next_version BIGINT NOT NULL, reserved BIGINT, value TEXT NOT NULL,
            PRIMARY KEY (account, region, name)
        ) WITHOUT ROWID;
        CREATE INDEX lambda_functions_reserved ON lambda_functions (account, region, reserved)
            WHERE reserved IS NOT NULL;
        CREATE TABLE lambda_versions (
            account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, number BIGINT NOT NULL,
            generation TEXT NOT NULL, code TEXT NOT NULL, layers TEXT, code_size BIGINT NOT NULL,
            settling BIGINT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (account, region, name, number)
        ) WITHOUT ROWID;
        CREATE INDEX lambda_versions_settling ON lambda_versions (account, region, name) WHERE settling = 1;
        CREATE INDEX lambda_versions_code ON lambda_versions (code);
        CREATE INDEX lambda_versions_layers ON lambda_versions (layers) WHERE layers IS NOT NULL;
        CREATE TABLE lambda_aliases (
            account TEXT NOT NULL, region TEXT NOT NULL, function TEXT NOT NULL, name TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (account, region, function, name)
        ) WITHOUT ROWID;
        CREATE TABLE lambda_policies (
            account TEXT NOT NULL, region TEXT NOT NULL, function TEXT NOT NULL, qualifier TEXT NOT NULL,
            statements TEXT NOT NULL,
            PRIMARY KEY (account, region, function, qualifier)
        ) WITHOUT ROWID;
        CREATE TABLE lambda_event_invoke_configs (
            account TEXT NOT NULL, region TEXT NOT NULL, function TEXT NOT NULL, qualifier TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (account, region, function, qualifier)
        ) WITHOUT ROWID;
        CREATE TABLE lambda_layers (
            account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, next_version BIGINT NOT NULL,
            PRIMARY KEY (account, region, name)
        ) WITHOUT ROWID;
        CREATE TABLE lambda_layer_versions (
            account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, number BIGINT NOT NULL,
            code TEXT NOT NULL, code_size BIGINT NOT NULL, unpacked BIGINT NOT NULL, value TEXT NOT NULL,
            policy TEXT, policy_revision TEXT,
            PRIMARY KEY (account, region, name, number)
        ) WITHOUT ROWID;
        """
}

import Testing
import Wire

@testable import DynamoDB

@Test func theSchemaIsReadable() throws {
    _ = try ServiceSchema(text: DynamoDBSchema.text)
}

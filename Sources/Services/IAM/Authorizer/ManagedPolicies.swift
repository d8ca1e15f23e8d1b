import Platform
import Policies

/// AWS's own policies that people attach to the roles of functions, as the AWS Managed Policy Reference lists them, as
/// far as they speak of services that are here. Here they go by their names, without `arn:aws:iam::aws:policy/` and the folder.
enum ManagedPolicies {
    private static let prefix = "arn:aws:iam::aws:policy/"
    private static let compiled: [String: Policies.PolicyDocument] = {
        var all: [String: Policies.PolicyDocument] = [:]
        for (name, statements) in table {
            let value: Value = ["Version": "2012-10-17", "Statement": .list(statements.map(\.value))]
            all[name] = try? Policies.PolicyDocument(value, kind: .identity)
        }
        return all
    }()

    /// Names of the policies that are built in.
    static var names: [String] { compiled.keys.sorted() }

    /// Nil for ARNs that are not AWS's, and for policies that are not built in.
    static func document(_ arn: String) -> Policies.PolicyDocument? {
        guard arn.hasPrefix(prefix) else { return nil }
        let path = arn.dropFirst(prefix.count)
        let name = path.lastIndex(of: "/").map { path[path.index(after: $0)...] } ?? path
        // By its whole ARN: conditions (`iam:PolicyARN`) speak of that.
        guard path == (folders[String(name)] ?? "") + name else { return nil }
        return compiled[String(name)]
    }

    /// Those that do not stand at the root (AWS Managed Policy Reference, "ARN").
    private static let folders: [String: String] = [
        "AWSLambdaBasicExecutionRole": "service-role/", "AWSLambdaVPCAccessExecutionRole": "service-role/",
        "AWSLambdaENIManagementAccess": "service-role/", "AWSLambdaSQSQueueExecutionRole": "service-role/",
        "AWSLambdaKinesisExecutionRole": "service-role/", "AWSLambdaDynamoDBExecutionRole": "service-role/",
        "AWSLambdaMSKExecutionRole": "service-role/", "AWSLambdaRole": "service-role/",
        "AmazonSNSRole": "service-role/", "AmazonS3ObjectLambdaExecutionRolePolicy": "service-role/",
        "ViewOnlyAccess": "job-function/",
    ]

    private struct Statement {
        var actions: [String]
        var resources: [String] = ["*"]
        var negatesActions = false
        var condition: Value?

        var value: Value {
            var fields: Fields = ["Effect": "Allow", "Resource": .strings(resources)]
            fields.append(negatesActions ? "NotAction" : "Action", .strings(actions))
            if let condition { fields.append("Condition", condition) }
            return .map(fields)
        }
    }

    private static let logging = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    private static let networkInterfaces = [
        "ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
    ]
    private static let streamOfTable = [
        "dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams",
    ]

    private static func passRole(to service: String) -> Statement {
        Statement(
            actions: ["iam:PassRole"], condition: ["StringEquals": ["iam:PassedToService": .string(service)]])
    }

    private static let table: [(String, [Statement])] = execution + access + general

    private static let execution: [(String, [Statement])] = [
        ("AWSLambdaBasicExecutionRole", [Statement(actions: logging)]),
        ("AWSLambdaVPCAccessExecutionRole", [Statement(actions: logging + networkInterfaces)]),
        ("AWSLambdaENIManagementAccess", [Statement(actions: networkInterfaces)]),
        (
            "AWSLambdaSQSQueueExecutionRole",
            [Statement(actions: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"] + logging)]
        ),
        (
            "AWSLambdaKinesisExecutionRole",
            [
                Statement(
                    actions: [
                        "kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords",
                        "kinesis:GetShardIterator", "kinesis:ListShards", "kinesis:ListStreams",
                        "kinesis:SubscribeToShard",
                    ] + logging)
            ]
        ),
        ("AWSLambdaDynamoDBExecutionRole", [Statement(actions: streamOfTable + logging)]),
        (
            "AWSLambdaInvocation-DynamoDB",
            [Statement(actions: ["lambda:InvokeFunction"]), Statement(actions: streamOfTable)]
        ),
        (
            "AWSLambdaMSKExecutionRole",
            [
                Statement(
                    actions: [
                        "kafka:DescribeCluster", "kafka:DescribeClusterV2", "kafka:GetBootstrapBrokers",
                        "ec2:DescribeVpcs", "ec2:DescribeSecurityGroups",
                    ] + networkInterfaces + logging)
            ]
        ),
        ("AWSLambdaRole", [Statement(actions: ["lambda:InvokeFunction"])]),
        ("AWSXRayDaemonWriteAccess", [Statement(actions: xray)]),
        ("AWSXrayWriteOnlyAccess", [Statement(actions: xray)]),
        (
            "AWSLambdaExecute",
            [
                Statement(actions: ["logs:*"], resources: ["arn:aws:logs:*:*:*"]),
                Statement(actions: ["s3:GetObject", "s3:PutObject"], resources: ["arn:aws:s3:::*"]),
            ]
        ),
        (
            "AmazonS3ObjectLambdaExecutionRolePolicy",
            [Statement(actions: logging + ["s3-object-lambda:WriteGetObjectResponse"])]
        ),
        (
            "CloudWatchLambdaInsightsExecutionRolePolicy",
            [
                Statement(actions: ["logs:CreateLogGroup"]),
                Statement(
                    actions: ["logs:CreateLogStream", "logs:PutLogEvents"],
                    resources: ["arn:aws:logs:*:*:log-group:/aws/lambda-insights:*"]),
            ]
        ),
    ]

    private static let xray = [
        "xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets",
        "xray:GetSamplingStatisticSummaries",
    ]

    private static let access: [(String, [Statement])] = [
        ("AmazonSQSFullAccess", [Statement(actions: ["sqs:*"])]),
        (
            "AmazonSQSReadOnlyAccess",
            [
                Statement(actions: [
                    "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListDeadLetterSourceQueues", "sqs:ListQueues",
                    "sqs:ListMessageMoveTasks", "sqs:ListQueueTags",
                ])
            ]
        ),
        ("AmazonSNSFullAccess", [Statement(actions: ["sns:*"])]),
        ("AmazonSNSReadOnlyAccess", [Statement(actions: ["sns:GetTopicAttributes", "sns:List*"])]),
        ("AmazonSNSRole", [Statement(actions: logging + ["logs:PutMetricFilter", "logs:PutRetentionPolicy"])]),
        ("AmazonS3FullAccess", [Statement(actions: ["s3:*", "s3-object-lambda:*"])]),
        (
            "AmazonS3ReadOnlyAccess",
            [
                Statement(actions: [
                    "s3:Get*", "s3:List*", "s3:Describe*", "s3-object-lambda:Get*", "s3-object-lambda:List*",
                ])
            ]
        ),
        (
            "AmazonDynamoDBFullAccess",
            [
                Statement(actions: [
                    "dynamodb:*", "dax:*", "cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms",
                    "cloudwatch:GetMetricStatistics", "cloudwatch:ListMetrics", "cloudwatch:PutMetricAlarm",
                    "kinesis:ListStreams", "kinesis:DescribeStream", "kinesis:DescribeStreamSummary",
                    "lambda:CreateFunction", "lambda:ListFunctions", "lambda:ListEventSourceMappings",
                    "lambda:CreateEventSourceMapping", "lambda:DeleteEventSourceMapping",
                    "lambda:GetFunctionConfiguration", "lambda:DeleteFunction", "sns:CreateTopic", "sns:DeleteTopic",
                    "sns:ListSubscriptions", "sns:ListSubscriptionsByTopic", "sns:ListTopics", "sns:Subscribe",
                    "sns:Unsubscribe", "sns:SetTopicAttributes", "tag:GetResources",
                ])
            ]
        ),
        ("AmazonDynamoDBFullAccess_v2", [Statement(actions: ["dynamodb:*", "dax:*"])]),
        (
            "AmazonDynamoDBReadOnlyAccess",
            [
                Statement(actions: [
                    "dynamodb:BatchGetItem", "dynamodb:Describe*", "dynamodb:GetItem", "dynamodb:GetResourcePolicy",
                    "dynamodb:List*", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQLSelect",
                ])
            ]
        ),
        ("AmazonKinesisFullAccess", [Statement(actions: ["kinesis:*"])]),
        ("AmazonKinesisReadOnlyAccess", [Statement(actions: ["kinesis:Get*", "kinesis:List*", "kinesis:Describe*"])]),
        (
            "AmazonEventBridgeFullAccess",
            [
                Statement(actions: ["events:*", "schemas:*", "scheduler:*", "pipes:*"]),
                passRole(to: "events.amazonaws.com"), passRole(to: "scheduler.amazonaws.com"),
                passRole(to: "pipes.amazonaws.com"),
            ]
        ),
        (
            "AmazonEventBridgeSchedulerFullAccess",
            [
                Statement(actions: ["scheduler:*"]), passRole(to: "scheduler.amazonaws.com"),
            ]
        ),
        (
            "CloudWatchLogsFullAccess",
            [Statement(actions: ["logs:*", "cloudwatch:GenerateQuery"])]
        ),
        (
            "CloudWatchLogsReadOnlyAccess",
            [
                Statement(actions: [
                    "logs:Describe*", "logs:Get*", "logs:List*", "logs:StartQuery", "logs:StopQuery",
                    "logs:TestMetricFilter",
                    "logs:FilterLogEvents", "logs:StartLiveTail", "logs:StopLiveTail",
                ])
            ]
        ),
        ("CloudWatchFullAccess", [Statement(actions: ["cloudwatch:*", "logs:*", "sns:*"])]),
        (
            "AWSLambda_FullAccess",
            [
                Statement(actions: [
                    "lambda:*", "cloudformation:DescribeStacks", "cloudformation:ListStackResources",
                    "cloudwatch:ListMetrics", "cloudwatch:GetMetricData", "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets", "ec2:DescribeVpcs", "kms:ListAliases", "iam:GetPolicy",
                    "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies",
                    "iam:ListRolePolicies", "iam:ListRoles", "logs:DescribeLogGroups", "states:DescribeStateMachine",
                    "states:ListStateMachines", "tag:GetResources", "xray:GetTraceSummaries", "xray:BatchGetTraces",
                ]),
                passRole(to: "lambda.amazonaws.com"),
                Statement(
                    actions: ["logs:DescribeLogStreams", "logs:GetLogEvents", "logs:FilterLogEvents"],
                    resources: ["arn:aws:logs:*:*:log-group:/aws/lambda/*"]),
            ]
        ),
        (
            "AWSLambda_ReadOnlyAccess",
            [
                Statement(actions: [
                    "lambda:Get*", "lambda:List*", "cloudformation:DescribeStacks", "cloudformation:ListStackResources",
                    "cloudwatch:GetMetricData", "cloudwatch:ListMetrics", "iam:GetPolicy", "iam:GetPolicyVersion",
                    "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies",
                    "iam:ListRoles", "logs:DescribeLogGroups", "tag:GetResources",
                ]),
                Statement(
                    actions: ["logs:DescribeLogStreams", "logs:GetLogEvents", "logs:FilterLogEvents"],
                    resources: ["arn:aws:logs:*:*:log-group:/aws/lambda/*"]),
            ]
        ),
        ("IAMFullAccess", [Statement(actions: ["iam:*"])]),
        ("IAMReadOnlyAccess", [Statement(actions: ["iam:Get*", "iam:List*", "iam:Simulate*"])]),
    ]

    private static let general: [(String, [Statement])] = [
        ("AdministratorAccess", [Statement(actions: ["*"])]),
        (
            "PowerUserAccess",
            [
                Statement(actions: ["iam:*", "organizations:*", "account:*"], negatesActions: true),
                Statement(actions: [
                    "iam:CreateServiceLinkedRole", "iam:DeleteServiceLinkedRole", "iam:ListRoles",
                    "organizations:DescribeOrganization", "account:ListRegions", "account:GetAccountInformation",
                ]),
            ]
        ),
        (
            "ReadOnlyAccess",
            [
                Statement(actions: [
                    "apigateway:GET", "cloudformation:Describe*", "cloudformation:Get*", "cloudformation:List*",
                    "cloudwatch:Describe*", "cloudwatch:Get*", "cloudwatch:List*", "codecommit:BatchGet*",
                    "codecommit:Get*", "codecommit:GitPull", "codecommit:List*", "dynamodb:BatchGetItem",
                    "dynamodb:Describe*", "dynamodb:GetItem", "dynamodb:GetResourcePolicy", "dynamodb:List*",
                    "dynamodb:PartiQLSelect", "dynamodb:Query", "dynamodb:Scan", "events:Describe*", "events:List*",
                    "events:TestEventPattern", "iam:Get*", "iam:List*", "kinesis:Describe*", "kinesis:Get*",
                    "kinesis:List*", "lambda:Get*", "lambda:List*", "logs:Describe*", "logs:FilterLogEvents",
                    "logs:Get*",
                    "logs:List*", "logs:StartQuery", "logs:StopQuery", "logs:TestMetricFilter", "pipes:DescribePipe",
                    "pipes:List*", "s3:DescribeJob", "s3:Get*", "s3:List*", "s3-object-lambda:GetObject",
                    "s3-object-lambda:ListBucket", "scheduler:Get*", "scheduler:List*", "sns:Check*", "sns:Get*",
                    "sns:List*", "sqs:Get*", "sqs:List*", "sqs:Receive*", "sts:GetCallerIdentity", "tag:Get*",
                ])
            ]
        ),
        (
            "ViewOnlyAccess",
            [
                Statement(actions: [
                    "cloudformation:DescribeStacks", "cloudformation:List*", "dynamodb:ListTables", "iam:List*",
                    "iam:GetAccountSummary", "kinesis:ListStreams", "lambda:List*", "logs:Describe*",
                    "s3:ListAllMyBuckets",
                    "s3:ListBucket", "sns:List*", "sqs:ListQueues",
                ])
            ]
        ),
        (
            "SecurityAudit",
            [
                Statement(actions: [
                    "iam:Get*", "iam:List*", "lambda:GetPolicy", "lambda:List*", "logs:Describe*", "s3:GetBucket*",
                    "s3:GetAccountPublicAccessBlock", "s3:ListAllMyBuckets", "sns:GetTopicAttributes", "sns:List*",
                    "sqs:GetQueueAttributes", "sqs:ListQueues",
                ])
            ]
        ),
    ]
}

//! An MCP server on rmcp and axum: one tool, one resource that can be subscribed to in both eras, and an operator's
//! port where `POST /publish` tells every subscriber.
//!
//! Subscribers are told one after the other. Joining all the futures takes twice the CPU; this is its best.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::routing::{get, post};
use pinfold_bench_peers::{Outcome, argument, run, serve};
use rmcp::model::*;
use rmcp::service::{Peer, RequestContext, SubscriptionContext, SubscriptionSink};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};

const URI: &str = "board://bench";
const TOOL: &str = "test_simple_text";
const ANSWER: &str = "This is a simple text response for testing.";

/// Clones share their subscribers.
#[derive(Clone, Default)]
struct Server {
    subscribers: Arc<Mutex<Vec<Subscriber>>>,
}

#[derive(Clone)]
enum Subscriber {
    Session(Peer<RoleServer>),
    Listener(SubscriptionSink),
}

impl Server {
    fn add(&self, subscriber: Subscriber) {
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(subscriber);
    }

    async fn publish(self) {
        let subscribers = self
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for subscriber in &subscribers {
            // Those that left are told nothing.
            let _ = match subscriber {
                Subscriber::Session(peer) => {
                    let changed = ResourceUpdatedNotificationParam::new(URI);
                    peer.notify_resource_updated(changed).await.is_ok()
                }
                Subscriber::Listener(sink) => sink.notify_resource_updated(URI).await.is_ok(),
            };
        }
    }
}

impl ServerHandler for Server {
    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(&[ProtocolVersion::V_2026_07_28, ProtocolVersion::V_2025_11_25])
    }

    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_subscribe()
            .build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("rmcp-server", "1"))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match &*request.name {
            TOOL => Ok(CallToolResult::success(vec![ContentBlock::text(ANSWER)]).into()),
            _ => Err(ErrorData::invalid_params("no such tool", None)),
        }
    }

    #[allow(deprecated)] // by name: it is the era's way
    async fn subscribe(
        &self,
        _: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.add(Subscriber::Session(context.peer));
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.add(Subscriber::Listener(context.sink().clone()));
        context.cancelled().await;
        Ok(())
    }
}

fn main() -> Outcome {
    let (listen, admin) = (argument("--listen")?, argument("--admin")?);
    let server = Server::default();
    let publisher = server.clone();
    let operator = Router::new()
        .route("/readyz", get(|| async {}))
        .route("/publish", post(move || publisher.clone().publish()));
    // JSON where rmcp can answer without a stream: requests of the modern era.
    let config = StreamableHttpServerConfig::default().with_json_response(true);
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    let clients = Router::new().route_service("/mcp", service);
    run(
        async move { tokio::try_join!(serve(&listen, clients), serve(&admin, operator)).map(|_| ()) },
    )
}

//! Name servers on loopback, UDP and TCP. The primary takes TSIG-signed updates; a secondary shows the zone as it was.

use crate::{Fallible, update, zone::Zone};
use hickory_resolver::{
    net::runtime::Time,
    proto::{
        op::{Header, HeaderCounts, MessageType, Metadata, OpCode, ResponseCode},
        rr::{TSigResponseContext, TSigner},
        serialize::binary::BinEncoder,
    },
};
use hickory_server::{
    Server,
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
    thread,
    time::Duration,
};

/// One name server.
pub struct NameServer {
    /// What it serves.
    pub zone: Arc<Zone>,
    /// How old what it serves is; 0 for the primary.
    pub lag: Duration,
    /// Who may update; `None` on a secondary.
    pub key: Option<TSigner>,
}

impl NameServer {
    /// Serves from a thread of its own until the program ends; returns the address.
    pub fn start(self) -> Fallible<SocketAddr> {
        let (udp, tcp) = bind()?;
        let address = udp.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || {
            runtime.block_on(async {
                let mut server = Server::new(self);
                server.register_socket(tokio::net::UdpSocket::from_std(udp)?);
                let tcp = tokio::net::TcpListener::from_std(tcp)?;
                server.register_listener(tcp, Duration::from_secs(5), 16);
                server.block_until_done().await?;
                Fallible::Ok(())
            })
        });
        Ok(address)
    }

    /// Checks the signature, carries out the update, and says what came of it, signed with the same key.
    fn update(&self, request: &Request, now: u64) -> (ResponseCode, Option<TSigResponseContext>) {
        let (Some(key), Some(tsig)) = (&self.key, &request.signature) else {
            return (ResponseCode::Refused, None);
        };
        let id = request.metadata.id;
        if tsig.name != *key.signer_name() {
            return (ResponseCode::NotAuth, Some(TSigResponseContext::unknown_key(id, now, tsig.name.clone())));
        }
        match key.verify_message_byte(request.as_slice(), None, true) {
            Ok((mac, _, valid)) if valid.contains(&now) => {
                let context = TSigResponseContext::new(id, now, key.clone(), mac, None);
                (update::apply(&self.zone, request), Some(context))
            }
            _ => (ResponseCode::NotAuth, Some(TSigResponseContext::bad_signature(id, now, key.clone()))),
        }
    }
}

#[async_trait::async_trait]
impl RequestHandler for NameServer {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut handle: R) -> ResponseInfo {
        if request.metadata.op_code != OpCode::Update {
            return self.zone.signed(self.lag).handle_request::<R, T>(request, handle).await;
        }
        let (code, context) = self.update(request, T::current_time());
        let mut metadata = Metadata::new(request.metadata.id, MessageType::Response, OpCode::Update);
        metadata.response_code = code;
        let answer = || MessageResponseBuilder::from_message_request(request).build_no_records(metadata);

        let mut response = answer();
        let mut unsigned = Vec::new();
        if let Some(context) = context
            && answer().destructive_emit(&mut BinEncoder::new(&mut unsigned)).is_ok()
            && let Ok(signature) = context.sign(&unsigned)
        {
            response.set_signature(signature);
        }
        let nothing_sent = Header { metadata, counts: HeaderCounts::default() };
        handle.send_response(response).await.unwrap_or_else(|_| nothing_sent.into())
    }
}

/// One port for both transports.
fn bind() -> Fallible<(UdpSocket, TcpListener)> {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        // Somebody else may have that UDP port: then try another.
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr()?) {
            udp.set_nonblocking(true)?;
            tcp.set_nonblocking(true)?;
            return Ok((udp, tcp));
        }
    }
}

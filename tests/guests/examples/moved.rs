//! Functions whose awaits were moved elsewhere: into functions of the same file and of another
//! module, methods, closures and generic functions. The attribute names none of them.

/// What the filters call.
mod parts {
    use proxy_filter::future::Spawner;
    use proxy_filter::grpc::{GrpcBytes, GrpcCall};
    use proxy_filter::prelude::*;
    use std::time::Duration;

    /// Waits for the part that the header `x-part` names, and says what it saw.
    pub(crate) async fn see(exchange: &mut Exchange) -> Result<()> {
        let request = exchange.request_headers().await?;
        let part = request.get("x-part")?.unwrap_or_default().to_string();
        let seen = match &*part {
            "request_body" => exchange.request_body(100).await?.len(),
            "request_chunk" => exchange.request_chunk().await?.map_or(0, |chunk| chunk.len()),
            "request_trailers" => exchange.request_trailers().await?.map_or(0, |_| 1),
            "response_headers" => exchange.response_headers().await?.get("x-up")?.map_or(0, |_| 1),
            "response_body" => exchange.response_body(100).await?.len(),
            "response_chunk" => exchange.response_chunk().await?.map_or(0, |chunk| chunk.len()),
            "response_trailers" => exchange.response_trailers().await?.map_or(0, |_| 1),
            "log_context" => exchange.log_context().await.map(|_| 1)?,
            _ => 0,
        };
        log::info!("{part}: {seen}");
        Ok(())
    }

    /// Makes the callout that `what` names.
    pub(crate) async fn call(what: &str) -> Result<()> {
        let seen = match what {
            "http" => HttpCall::get("service", "/").await.map_or(0, |_| 1),
            "timer" => Timer::after(Duration::from_millis(1)).await.map(|()| 1)?,
            "grpc" => {
                let call = GrpcCall::<GrpcBytes>::new("service", "p.S", "M", &GrpcBytes::default());
                call.await.map_or(0, |_| 1)
            }
            "queue" => {
                let queue = SharedQueue::register("items")?;
                queue.enqueue(b"item")?;
                usize::from(queue.receive().await? == b"item")
            }
            _ => 0,
        };
        log::info!("{what}: {seen}");
        Ok(())
    }

    /// Makes a callout that outlives the stream.
    pub(crate) fn spawn(spawner: &Spawner) {
        spawner.spawn(async {
            HttpCall::get("service", "/").await?;
            log::info!("spawned");
            Ok(())
        });
    }
}

/// Methods of a struct.
struct Methods {
    what: String,
}

impl Methods {
    async fn see(&self, exchange: &mut Exchange) -> Result<()> {
        parts::see(exchange).await
    }

    async fn call(&self) -> Result<()> {
        parts::call(&self.what).await
    }
}

/// Methods of the exchange.
trait See {
    async fn see(&mut self) -> Result<()>;
}

impl See for Exchange {
    async fn see(&mut self) -> Result<()> {
        parts::see(self).await
    }
}

/// Awaits its argument.
macro_rules! awaited {
    ($future:expr) => {
        $future.await
    };
}

async fn generic<F: Future>(future: F) -> F::Output {
    future.await
}

async fn nothing(what: String) -> Result<()> {
    parts::call(&what).await
}

macro_rules! filters {
    ($($name:ident $root_id:literal |$exchange:ident, $what:ident| $see:block $call:block)*) => {$(
        #[allow(clippy::redundant_async_block, clippy::redundant_closure_call, reason = "the form is what is tested")]
        mod $name {
            use super::*;

            #[proxy_filter::filter(root_id = $root_id)]
            async fn $name(mut $exchange: Exchange) -> Result<()> {
                let request = $exchange.request_headers().await?;
                let $what = request.get("x-call")?.map(|what| what.to_string());
                match $what {
                    Some($what) => $call,
                    None => $see,
                }
            }
        }
    )*};
}

use proxy_filter::prelude::*;

filters! {
    function "function" |exchange, what| { super::in_this_file(exchange).await } { super::nothing(what).await }
    module "module" |exchange, what| { parts::see(&mut exchange).await } { parts::call(&what).await }
    method "method" |exchange, what| { Methods { what: String::new() }.see(&mut exchange).await } {
        let methods = Methods { what };
        methods.call().await
    }
    extension "extension" |exchange, what| { exchange.see().await } {
        let pending = parts::call(&what);
        pending.await
    }
    closure "closure" |exchange, what| {
        let see = async |exchange: &mut Exchange| parts::see(exchange).await;
        see(&mut exchange).await
    } {
        let call = |what: String| async move { parts::call(&what).await };
        call(what).await
    }
    hidden "macro" |exchange, what| { awaited!(parts::see(&mut exchange)) } { awaited!(parts::call(&what)) }
    shadowed "shadowed" |exchange, what| { parts::see(&mut exchange).await } {
        let pending: Timer = Timer::after(std::time::Duration::from_millis(1));
        pending.await?;
        let pending = parts::call(&what);
        pending.await
    }
    generic_function "generic" |exchange, what| { generic(parts::see(&mut exchange)).await } {
        generic(parts::call(&what)).await
    }
}

async fn in_this_file(mut exchange: Exchange) -> Result<()> {
    parts::see(&mut exchange).await
}

/// The spawner is passed on, and nothing is awaited.
mod spawner {
    use super::parts;
    use proxy_filter::prelude::*;

    #[proxy_filter::filter(root_id = "spawner")]
    async fn spawner(exchange: Exchange) -> Result<()> {
        parts::spawn(&exchange.spawner());
        Ok(())
    }
}

/// The exchange is passed on, and nothing is awaited.
mod passed {
    use super::in_function_of_exchange;
    use proxy_filter::prelude::*;

    #[proxy_filter::filter(root_id = "exchange")]
    async fn passed(exchange: Exchange) -> Result<()> {
        in_function_of_exchange(&exchange);
        Ok(())
    }
}

fn in_function_of_exchange(exchange: &Exchange) {
    parts::spawn(&exchange.spawner());
}

proxy_filter::module!(
    spawner::Spawner,
    passed::Passed,
    function::Function,
    module::Module,
    method::Method,
    extension::Extension,
    closure::Closure,
    hidden::Hidden,
    shadowed::Shadowed,
    generic_function::GenericFunction
);

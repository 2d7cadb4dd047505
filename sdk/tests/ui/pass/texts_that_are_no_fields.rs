//! Texts that could be no header field, in calls that take none.
#![deny(warnings)]

use proxy_filter::prelude::*;
use std::collections::{BTreeMap, HashMap};

#[derive(Default)]
struct Root;

#[proxy_filter::root(root_id = "b")]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream { words: Words }
    }
}

struct Words;

impl Words {
    fn add(&self, word: &str, count: u32) -> usize {
        word.len() + count as usize
    }

    fn get(word: &str, other: &str) -> String {
        [word, other].concat()
    }

    fn new(word: &str, other: &str, third: &str) -> String {
        [word, other, third].concat()
    }
}

struct Stream {
    words: Words,
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        #![allow(clippy::no_effect)]
        let path = request.path()?.unwrap_or_default().to_string().replace(" ", "%20").replace("\n", "");
        let mut known: HashMap<&str, u32> = HashMap::new();
        let mut ordered = BTreeMap::new();
        ordered.insert("two words", 2);
        let removed = known.remove("two words").or(ordered.remove("two words"));
        let count = self.words.add("two words", 1) + Words::get("a b", "c d").len() + Words::new("a b", "c d", "e").len() + removed.map_or(0, |_| 1);
        let parts: Vec<String> = ["a b"].iter().map(|part| part.replace(" ", "")).collect();
        fn inner(text: &str) -> String {
            text.replace("x b", "1")
        }
        request.replace("x-path", inner(&path))?;
        request.replace(":path", format!("/{}", parts.join("/").replace('(', "[").replace("(", "[")))?;
        request.replace("x-count", count.to_string())?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_request_body(&mut self, body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if end_of_stream {
            body.replace("two words\n")?;
            body.append("two words\n",)?;
        }
        Ok(FilterDataStatus::Continue)
    }
}

mod asynchronous {
    use proxy_filter::prelude::*;

    #[proxy_filter::filter(root_id = "a")]
    pub async fn stamp(mut exchange: Exchange) -> Result<()> {
        let request = exchange.request_headers().await?;
        let agent = request.get("user-agent")?.unwrap_or_default().to_string().replace(" ", "_");
        request.replace("x-agent", agent.replace("; ", ";"))
    }
}

proxy_filter::module!(Root, asynchronous::Stamp);

fn main() {}

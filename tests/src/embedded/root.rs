//! The root contexts of a VM: one for each plugin, and old ones after a new configuration.

use crate::backend::Plugin;
use proxy_filter::Status;

/// A root context.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(crate) id: u32,
    /// Where in the chain its plugin is.
    position: usize,
    pub(crate) plugin: Plugin,
    pub(crate) stage: Stage,
}

/// How far a root context has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is being configured.
    Starting,
    /// New streams come to it.
    Serving,
    /// There is a newer one; it waits for its last stream.
    Retired,
    /// It has said that it is not done yet.
    Waiting,
    /// It has said that it is done now.
    Released,
}

/// The root contexts in the order in which they were created.
#[derive(Debug, Default)]
pub(crate) struct Roots(Vec<Root>);

impl Roots {
    pub(crate) fn get(&self, id: u32) -> Option<&Root> {
        self.0.iter().find(|root| root.id == id)
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn contains(&self, id: u32) -> bool {
        self.get(id).is_some()
    }

    pub(crate) fn remove(&mut self, id: u32) {
        self.0.retain(|root| root.id != id);
    }

    /// Those at this stage.
    pub(crate) fn at(&self, stage: Stage) -> Vec<u32> {
        self.0.iter().filter(|root| root.stage == stage).map(|root| root.id).collect()
    }

    pub(crate) fn set(&mut self, id: u32, stage: Stage) {
        if let Some(root) = self.0.iter_mut().find(|root| root.id == id) {
            root.stage = stage;
        }
    }

    /// The root contexts of new streams, in the order of the chain, which has so many.
    pub(crate) fn serving(&self, length: usize) -> Vec<u32> {
        let serving = self.0.iter().filter(|root| root.stage == Stage::Serving && root.position < length);
        let mut serving: Vec<&Root> = serving.collect();
        serving.sort_by_key(|root| root.position);
        serving.into_iter().map(|root| root.id).collect()
    }

    /// Puts a new root context in the place of the one at this position of the chain. The old one
    /// waits for its last stream.
    pub(crate) fn add(&mut self, id: u32, position: usize, plugin: Plugin) {
        self.0.push(Root { id, position, plugin, stage: Stage::Starting });
    }

    /// A root context has started: streams come to it, and not to the one before it.
    pub(crate) fn serve(&mut self, id: u32) {
        let Some(position) = self.get(id).map(|root| root.position) else { return };
        for root in &mut self.0 {
            match root.stage {
                Stage::Starting if root.id == id => root.stage = Stage::Serving,
                Stage::Serving if root.position == position => root.stage = Stage::Retired,
                _ => {}
            }
        }
    }

    /// `proxy_done` of a context.
    pub(crate) fn release(&mut self, id: u32) -> Result<(), Status> {
        if self.get(id).is_none_or(|root| root.stage != Stage::Waiting) {
            return Err(Status::NOT_FOUND);
        }
        self.set(id, Stage::Released);
        Ok(())
    }
}

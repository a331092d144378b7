//! The methods of a model's handle that make responses.

use std::sync::{Arc, PoisonError};

use super::handle::Generation;
use super::prompt::{Beginning, Prompt};
use super::schedule::Bounds;
use super::work::{Request, Work};
use super::{Response, Sampling};
use crate::{Chat, Model, ModelError};

impl Model {
    /// Answers every chat, in order. Which chats are answered together does not matter to the
    /// answers; a response is cut off where the context ends. A chat that ends with a message of
    /// the assistant is answered by going on from there ([`Model::render_prompt`]).
    ///
    /// Nothing is lost when it ends early: [`Model::stopped`] has what is finished and goes on.
    ///
    /// # Errors
    /// When a chat leaves no room for an answer in the context, memory does not suffice for a
    /// single response, or the work is interrupted.
    pub fn generate(
        &self,
        chats: &[Chat],
        sampling: &Sampling,
    ) -> Result<Vec<Response>, ModelError> {
        self.generate_all(chats.iter().map(Prompt::from), sampling)
    }

    /// Makes `count` responses to every chat, which is read once for all of them; the first of each
    /// is that of [`Model::generate`].
    ///
    /// # Errors
    /// As [`Model::generate`].
    pub fn generate_samples(
        &self,
        chats: &[Chat],
        count: usize,
        sampling: &Sampling,
    ) -> Result<Vec<Vec<Response>>, ModelError> {
        let prompts = chats.iter().map(|chat| Prompt::from(chat).samples(count));
        let mut responses = self.generate_all(prompts, sampling)?.into_iter();
        let of_chat = |_| responses.by_ref().take(count).collect();
        Ok(chats.iter().map(of_chat).collect())
    }

    /// Answers every chat with the handle beside it, in order and in one batch: handles with
    /// different adapters, or none, over the same weights. The answers are those that each handle
    /// would give on its own.
    ///
    /// ```no_run
    /// # use offmodel_models::{Adapter, Chat, Model, ModelError, Sampling};
    /// # fn compare(base: &Model, tuned: &Adapter) -> Result<(), ModelError> {
    /// let student = base.with_adapter(tuned)?;
    /// let chat = Chat::user("What is 7 times 8?");
    /// let answers = Model::generate_together(&[(base, &chat), (&student, &chat)], &Sampling::greedy())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Model::generate`]; also when the handles do not share their weights.
    pub fn generate_together(
        requests: &[(&Self, &Chat)],
        sampling: &Sampling,
    ) -> Result<Vec<Response>, ModelError> {
        let Some(&(first, _)) = requests.first() else {
            sampling.check()?;
            return Ok(vec![]);
        };
        let prompt = |&(handle, chat): &(&Self, &Chat)| Prompt::from(chat).answered_by(handle);
        first.generate_all(requests.iter().map(prompt), sampling)
    }

    /// Prepares responses to prompts, for everything that [`Model::generate`] does not offer:
    /// text as it comes, beginnings, several samples and other handles for single prompts, bounds
    /// on memory.
    ///
    /// ```no_run
    /// # use offmodel_models::{Chat, Model, ModelError, Prompt, Sampling};
    /// # fn finish(model: &Model, half: &Chat) -> Result<(), ModelError> {
    /// let prompts = [Prompt::continuing(half), Prompt::new(Chat::user("Why?")).samples(3)];
    /// let responses = model.generation(prompts, &Sampling::temperature(1.0))?.live().finish()?;
    /// assert_eq!(responses.len(), 4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When an option makes no sense, a prompt leaves no room for an answer in the context, or a
    /// prompt's handle does not share this one's weights.
    pub fn generation<P: Into<Prompt>>(
        &self,
        prompts: impl IntoIterator<Item = P>,
        sampling: &Sampling,
    ) -> Result<Generation, ModelError> {
        let prompts: Vec<Prompt> = prompts.into_iter().map(Into::into).collect();
        self.prepare(prompts, sampling)
    }

    /// The call of [`Model::generate`] and its sisters that last ended early on this handle or
    /// another on the same weights: what is finished, and the means to go on. It is handed out
    /// once; the next call that ends early takes its place.
    pub fn stopped(&self) -> Option<Generation> {
        let mut stopped = self
            .stopped_work()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Some(Generation::new(self.clone(), stopped.take()?))
    }

    fn generate_all(
        &self,
        prompts: impl Iterator<Item = Prompt>,
        sampling: &Sampling,
    ) -> Result<Vec<Response>, ModelError> {
        let mut generation = self.prepare(prompts.collect(), sampling)?;
        generation.finish().inspect_err(|_| {
            let mut stopped = self
                .stopped_work()
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *stopped = Some(generation.into_work());
        })
    }

    fn prepare(&self, prompts: Vec<Prompt>, sampling: &Sampling) -> Result<Generation, ModelError> {
        sampling.check()?;
        let mut requests = Vec::with_capacity(prompts.len());
        for (index, prompt) in prompts.iter().enumerate() {
            let handle = prompt.handle.as_ref().unwrap_or(self);
            if !self.shares_weights_with(handle) {
                let detail = format!(
                    "chat {index} is for {}, the batch for {}: one batch needs handles over the same weights",
                    handle.name(),
                    self.name()
                );
                return Err(ModelError::Adapter { detail });
            }
        }
        let texts = self.rendered(&prompts)?;
        for (index, (prompt, text)) in prompts.into_iter().zip(texts).enumerate() {
            let handle = prompt.handle.as_ref().unwrap_or(self);
            if prompt.samples == 0 {
                let (option, expected) = ("samples", "at least 1");
                let found = "0".to_owned();
                return Err(ModelError::Option {
                    option,
                    found,
                    expected,
                });
            }
            let mut tokens = self.tokenizer().encode(&text)?;
            let beginning = match prompt.beginning {
                Beginning::Text(text) => self.tokenizer().encode(&text)?,
                Beginning::Tokens(tokens) => tokens,
            };
            self.check_tokens(&beginning)?;
            tokens.extend(&beginning);
            let room = self.room_after(index, tokens.len())?;
            let tokens: Arc<[u32]> = tokens.into();
            let stream = prompt.stream.map_or(index as u64, u64::from);
            requests.extend((0..prompt.samples).map(|sample| Request {
                prompt: index,
                sample,
                tokens: tokens.clone(),
                beginning: beginning.len(),
                adapter: handle.adapter().cloned(),
                limit: sampling.max_new_tokens.min(room),
                stream: stream + ((sample as u64) << 32),
            }));
        }
        // The bounds are set when the work begins.
        let none = Bounds { rows: 1, tokens: 0 };
        let work = Work::new(requests, sampling, self.tokenizer(), none)?;
        Ok(Generation::new(self.clone(), work))
    }

    /// The text of every prompt, those of handles with the same template at once.
    fn rendered(&self, prompts: &[Prompt]) -> Result<Vec<String>, ModelError> {
        let mut groups: Vec<(&Self, Vec<usize>)> = Vec::new();
        for (index, prompt) in prompts.iter().enumerate() {
            let handle = prompt.handle.as_ref().unwrap_or(self);
            match groups.iter_mut().find(|(like, _)| like.renders_as(handle)) {
                Some((_, group)) => group.push(index),
                None => groups.push((handle, vec![index])),
            }
        }
        let mut texts = vec![String::new(); prompts.len()];
        for (handle, group) in groups {
            let chats: Vec<&Chat> = group.iter().map(|&index| &prompts[index].chat).collect();
            for (index, text) in group.into_iter().zip(handle.render_prompts(&chats)?) {
                texts[index] = text;
            }
        }
        Ok(texts)
    }
}

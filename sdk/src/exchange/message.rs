//! The macros that write the methods of an [`Exchange`](super::Exchange) for one message.

/// The handle that was just put there, or that is still there.
macro_rules! handle {
    ($part:expr, $Handle:ident) => {
        if let Part::$Handle(handle) = &mut $part { Ok(handle) } else { Err(early()) }
    };
}

/// The methods for the parts of one message.
macro_rules! message {
    ($(#[$headers_doc:meta])* $headers:ident: $Headers:ident, $point:ident;
     $(#[$held_doc:meta])* $held:ident: $Held:ident;
     $(#[$body_doc:meta])* $body:ident, $(#[$chunk_doc:meta])* $chunk:ident, $(#[$chunks_doc:meta])* $chunks:ident,
     $(#[$end_doc:meta])* $end:ident: $Body:ident, $body_point:ident;
     $(#[$trailers_doc:meta])* $trailers:ident: $Trailers:ident, $trailers_point:ident) => {
        $(#[$headers_doc])*
        #[inline]
        pub async fn $headers(&mut self) -> Result<&mut $Headers> {
            poll_fn(|_| self.stage.reach(Point::$point)).await?;
            if !matches!(self.part, Part::$Headers(_) | Part::$Held(..)) {
                self.note_lengths();
                self.part = Part::$Headers($Headers::new(self.stage.message(Point::$point).content_length()));
            }
            if let Part::$Headers(headers) | Part::$Held(headers, _) = &mut self.part {
                return Ok(headers);
            }
            Err(early())
        }

        $(#[$held_doc])*
        #[inline]
        pub async fn $held(&mut self, limit: usize) -> Result<(&mut $Headers, HeldBody<'_>)> {
            poll_fn(|_| self.stage.reach(Point::$point)).await?;
            let length = held::held(&self.stage, Point::$point, Point::$body_point, limit).await?;
            if !matches!(self.part, Part::$Held(..)) {
                self.note_lengths();
                let body = $Body::new(length, edits(self.stage.message(Point::$body_point)));
                self.part = Part::$Held($Headers::new(self.stage.message(Point::$point).content_length()), body);
            }
            let Part::$Held(headers, body) = &mut self.part else { return Err(early()) };
            Ok((headers, HeldBody::new(Point::$point, body)))
        }

        $(#[$body_doc])*
        #[inline]
        pub async fn $body(&mut self, limit: usize) -> Result<&mut $Body> {
            if let Part::$Body(body) = &self.part {
                self.stage.note_end(Point::$body_point, body, true);
            }
            let length = self.stage.whole(Point::$body_point, limit).await?;
            self.note_lengths();
            self.part = Part::$Body($Body::new(length, edits(self.stage.message(Point::$body_point))));
            handle!(self.part, $Body)
        }

        $(#[$chunk_doc])*
        #[inline]
        pub async fn $chunk(&mut self) -> Result<Option<&mut $Body>> {
            // What the filter made of the piece before it, and all before that.
            if let Part::$Body(body) | Part::$Held(_, body) = &self.part {
                self.stage.note_chunk(Point::$body_point, body);
            }
            let Some((start, length)) = self.stage.piece(Point::$body_point).await? else { return Ok(None) };
            self.note_lengths();
            let edits = match start {
                0 => edits(self.stage.message(Point::$body_point)),
                // No host can edit what comes after something that it keeps.
                _ => Edits::Impossible,
            };
            self.part = Part::$Body($Body::piece(start, length, edits));
            handle!(self.part, $Body).map(Some)
        }

        $(#[$chunks_doc])*
        #[cfg(feature = "futures")]
        #[inline]
        pub fn $chunks(&mut self) -> Chunks<'_> {
            self.note_lengths();
            self.part = Part::$Body(match core::mem::replace(&mut self.part, Part::None) {
                Part::$Body(body) | Part::$Held(_, body) => body,
                _ => $Body::new(0, Edits::Impossible),
            });
            Chunks::new(&self.stage, Point::$body_point, handle!(self.part, $Body).ok().map(|body| &mut **body))
        }

        $(#[$end_doc])*
        #[inline]
        pub fn $end(&mut self) -> Result<&mut $Body> {
            self.note_lengths();
            self.part = match core::mem::replace(&mut self.part, Part::None) {
                Part::$Held(_, body) => Part::$Body(body),
                part => part,
            };
            if let Part::$Body(body) = &self.part {
                self.stage.note_chunk(Point::$body_point, body);
            }
            if !self.stage.is_at_end(Point::$body_point)? {
                self.part = Part::$Body($Body::new(0, Edits::Impossible));
            } else if self.stage.reading(Point::$body_point).fresh.get() {
                // An empty chunk, which was not given to the filter. Otherwise the last chunk is
                // here, as the filter left it.
                let message = self.stage.message(Point::$body_point);
                self.part = Part::$Body($Body::new(message.size.get(), edits(message)));
            }
            handle!(self.part, $Body)
        }

        $(#[$trailers_doc])*
        #[inline]
        pub async fn $trailers(&mut self) -> Result<Option<&mut $Trailers>> {
            if !self.stage.trailers(Point::$trailers_point).await? {
                return Ok(None);
            }
            self.note_lengths();
            self.part = Part::$Trailers($Trailers::new(ContentLength::Kept));
            handle!(self.part, $Trailers).map(Some)
        }
    };
}

pub(super) use {handle, message};

//! Git's smart protocol over http(s): one GET that asks what there is, one POST for each
//! round of the fetch. Every request stands alone, so credentials go with each of them.

mod place;

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;

use self::place::{ASK, Place, accept, redirect, same_host, send};
use super::GitError;
use super::tls;
use super::wire::Wire;

/// Git itself follows so many before it gives up on a server that goes in circles.
const MAX_REDIRECTS: usize = 5;

/// libgit2's transport over one wire.
pub(super) struct HttpTransport {
    wire: Arc<Wire>,
    /// Set by the first request: where the repository really is.
    place: Mutex<Option<Place>>,
}

impl HttpTransport {
    pub fn new(wire: Arc<Wire>) -> Self {
        Self {
            wire,
            place: Mutex::new(None),
        }
    }

    /// Asks what there is, and finds out where.
    fn ask(&self) -> Result<Answer, GitError> {
        let url = self.wire.url.to_string();
        let mut place = Place {
            client: Client::builder(TokioExecutor::new())
                .build(tls::connector(&url, &self.wire.credentials)?),
            base: url.clone(),
            trusted: true,
        };
        for _ in 0..=MAX_REDIRECTS {
            let request = place.request(&self.wire, Method::GET, ASK, Bytes::new())?;
            let response = send(&self.wire, &place, request)?;
            if let Some(next) = redirect(&url, &place.base, &response)? {
                place.trusted = same_host(&url, &next);
                place.base = next;
                continue;
            }
            let response = accept(&self.wire, &place, response, "advertisement")?;
            *self.place.lock() = Some(place);
            return Ok(Answer::new(Arc::clone(&self.wire), response.into_body()));
        }
        Err(GitError::NotGit {
            url,
            detail: format!("it redirects more than {MAX_REDIRECTS} times"),
        })
    }
}

impl SmartSubtransport for HttpTransport {
    fn action(
        &self,
        _url: &str,
        action: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        match action {
            Service::UploadPackLs => match self.ask() {
                Ok(answer) => Ok(Box::new(answer)),
                Err(error) => Err(self.wire.fail(error)),
            },
            Service::UploadPack => match self.place.lock().clone() {
                Some(place) => Ok(Box::new(Call {
                    wire: Arc::clone(&self.wire),
                    place,
                    question: Vec::new(),
                    answer: None,
                })),
                None => Err(git2::Error::from_str("the server was not asked yet")),
            },
            _ => Err(git2::Error::from_str(
                "pushing is not done over this transport",
            )),
        }
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// A response's body, read as it comes.
struct Answer {
    wire: Arc<Wire>,
    body: Incoming,
    chunk: Bytes,
}

impl Answer {
    fn new(wire: Arc<Wire>, body: Incoming) -> Self {
        Self {
            wire,
            body,
            chunk: Bytes::new(),
        }
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            let url = self.wire.url.to_string();
            let body = &mut self.body;
            let frame = self.wire.wait(async {
                let frame = body.frame().await.transpose();
                frame.map_err(|error| tls::explain(&url, &error))
            });
            match frame.map_err(|error| self.wire.fail_io(error))? {
                None => return Ok(0),
                Some(frame) => {
                    if let Ok(data) = frame.into_data() {
                        self.chunk = data;
                    }
                }
            }
        }
        let length = buffer.len().min(self.chunk.len());
        let now = self.chunk.split_to(length);
        let (target, _) = buffer.split_at_mut(length);
        target.copy_from_slice(&now);
        Ok(length)
    }
}

impl Write for Answer {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other(
            "nothing can be said while the server lists its refs",
        ))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One round of a fetch: what is written is sent when the answer is first read.
struct Call {
    wire: Arc<Wire>,
    place: Place,
    question: Vec<u8>,
    answer: Option<Answer>,
}

impl Call {
    fn answer(&mut self) -> Result<&mut Answer, GitError> {
        let answer = match self.answer.take() {
            Some(answer) => answer,
            None => {
                let question = Bytes::from(std::mem::take(&mut self.question));
                let request =
                    self.place
                        .request(&self.wire, Method::POST, "/git-upload-pack", question)?;
                let response = send(&self.wire, &self.place, request)?;
                let response = accept(&self.wire, &self.place, response, "result")?;
                Answer::new(Arc::clone(&self.wire), response.into_body())
            }
        };
        Ok(self.answer.insert(answer))
    }
}

impl Read for Call {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wire = Arc::clone(&self.wire);
        match self.answer() {
            Ok(answer) => answer.read(buffer),
            Err(error) => Err(wire.fail_io(error)),
        }
    }
}

impl Write for Call {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.question.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

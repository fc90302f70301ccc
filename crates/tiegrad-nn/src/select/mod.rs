//! Which parameters: one small language for initialization, freezing, optimizer groups, checkpoints and prints.

mod from;
mod glob;
mod resolve;
mod text;

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use tiegrad_arena::{ParamInfo, Selection};

use crate::tree::Module;

pub(crate) use resolve::resolve;

/// Some of the parameters of a net, said by path, by layer type, by what is known about them, or one by one.
///
/// Whatever takes a `Select` takes a text, a list of texts, a closure, ids and a [`Selection`] as well:
///
/// | | selects |
/// |---|---|
/// | `"0.weight"`, `"encoder"` | the parameter of this path, or all that the module of this path holds |
/// | `"blocks.*.weight"`, `"**.bias"` | by component: `*` is any characters and `?` one within a component, `**` any number of components |
/// | `".*weight"`, `"^0.*"`, `"/[02].bias/"` | by a regular expression over the whole path: what begins with `.*` or `^`, or stands between slashes |
/// | `"type:Linear"` | all that layers of this type hold, by the name that prints show |
/// | `"!lm_head"` | everything else; in a list, an exception from what the other entries select |
/// | `["**.weight", "!lm_head"]` | what one of the entries selects and none with a `!` does, in whatever order |
/// | `\|path: &str, info: &ParamInfo\| …` | the parameters of which it says yes to a path (the types have to be written; not so in [`by`](Select::by)) |
/// | a [`ParamId`](tiegrad_arena::ParamId), a [`Selection`] | these |
///
/// Components match whole, and so do regular expressions: `fc1` never selects what is in `fc10`. A backslash takes the next character as it is, also at
/// the start of a text, where `!`, `/`, `^` and `type:` have a meaning; [`path`](Select::path) takes a path as it is printed.
///
/// It is parameters that are selected and not uses of them: any path of a tied parameter selects it, and any path excludes it.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let wte = Embedding::new(&mut params, 65, 8, &mut rng);
/// let head = Linear::from_ids(&params, wte.weight, None)?;
/// let net = (wte, Linear::new(&mut params, 8, 8, &mut rng), head);
///
/// assert_eq!(net.select(&params, "1")?.len(), 2);
/// assert_eq!(net.select(&params, ".*weight")?.len(), 2); // 0.weight is 2.weight
/// assert_eq!(net.select(&params, ["**.weight", "!2"])?.iter().collect::<Vec<_>>(), [net.1.weight]);
/// assert_eq!(net.select(&params, Select::of_type::<Linear>().and("**.bias"))?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What selects nothing is an error that says which names are near: every text and type must select a parameter, those after a `!` too. A closure and a
/// set of ids may select none.
#[derive(Clone)]
#[must_use = "a `Select` does nothing before a net resolves it: `net.select(&params, select)`"]
pub struct Select<'s>(Expr<'s>);

#[derive(Clone)]
enum Expr<'s> {
    All,
    Leaf(Leaf<'s>),
    /// What the text behind a `!` does not select.
    Not(Box<Expr<'s>>),
    Or(Vec<Expr<'s>>),
    And(Box<[Expr<'s>; 2]>),
    Except(Box<[Expr<'s>; 2]>),
}

#[derive(Clone)]
enum Leaf<'s> {
    Path(Cow<'s, str>),
    Glob(Cow<'s, str>),
    Regex(Cow<'s, str>),
    Kind(Cow<'s, str>),
    Type {
        name: &'static str,
        is: fn(&dyn Module) -> bool,
    },
    By(Rc<Predicate<'s>>),
    Ids(Cow<'s, Selection>),
}

type Predicate<'s> = dyn Fn(&str, &ParamInfo) -> bool + 's;

/// How a use of a parameter was selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Selected {
    /// By a module around it.
    Around,
    /// By itself: it was named.
    Itself,
}

impl<'s> Select<'s> {
    /// Everything.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), Linear::new(&mut params, 8, 1, &mut rng));
    /// assert_eq!(net.select(&params, Select::all().except("1.bias"))?.len(), 3);
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn all() -> Self {
        Self(Expr::All)
    }

    /// The parameter of this path, or all that the module of this path holds. The path is taken as prints write it: stars are stars.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let mut net = Sequential::new();
    /// net.push_named("a*", Linear::new(&mut params, 2, 2, &mut rng))?;
    /// net.push_named("ab", Linear::new(&mut params, 2, 2, &mut rng))?;
    /// assert_eq!(net.select(&params, "a*")?.len(), 4);
    /// assert_eq!(net.select(&params, Select::path("a*"))?.len(), 2);
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn path(path: impl Into<Cow<'s, str>>) -> Self {
        Self(Expr::Leaf(Leaf::Path(path.into())))
    }

    /// By component: what a text is that begins like none of the other forms.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), Linear::new(&mut params, 8, 1, &mut rng));
    /// assert_eq!(net.select(&params, Select::glob("?.bias"))?, net.select(&params, "?.bias")?);
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn glob(pattern: impl Into<Cow<'s, str>>) -> Self {
        Self(Expr::Leaf(Leaf::Glob(pattern.into())))
    }

    /// By a regular expression that matches the whole path of a parameter, in the syntax of the crate `regex-lite`.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), Linear::new(&mut params, 8, 1, &mut rng));
    /// assert_eq!(net.select(&params, Select::regex(r"[01]\.bias"))?.len(), 2);
    /// assert_eq!(net.select(&params, r"/[01]\.bias/")?.len(), 2);
    /// assert!(net.select(&params, Select::regex("weight")).is_err()); // `.*weight`
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn regex(pattern: impl Into<Cow<'s, str>>) -> Self {
        Self(Expr::Leaf(Leaf::Regex(pattern.into())))
    }

    /// All that layers of this type hold, directly or deeper, by the name of the type that prints show.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), LayerNorm::new(&mut params, 8));
    /// assert_eq!(net.select(&params, Select::kind("LayerNorm"))?, net.select(&params, "1")?);
    /// assert_eq!(net.select(&params, "type:LayerNorm")?, net.select(&params, "1")?);
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn kind(kind: impl Into<Cow<'s, str>>) -> Self {
        Self(Expr::Leaf(Leaf::Kind(kind.into())))
    }

    /// All that layers of this type hold, directly or deeper.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), LayerNorm::new(&mut params, 8));
    /// assert_eq!(net.select(&params, Select::of_type::<Linear>())?, net.select(&params, "0")?);
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn of_type<M: Module>() -> Self {
        let name = std::any::type_name::<M>();
        let is = |module: &dyn Module| (module as &dyn Any).is::<M>();
        Self(Expr::Leaf(Leaf::Type { name, is }))
    }

    /// The parameters of which `f` says yes to a path, canonical or alias, and what the arena knows. It is not asked about ids that the arena does not have.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), Linear::new(&mut params, 8, 1, &mut rng));
    /// let matrices = net.select(&params, Select::by(|_, info| info.shape.rank() == 2))?;
    /// assert_eq!(matrices, net.select(&params, "*.weight")?);
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn by(f: impl Fn(&str, &ParamInfo) -> bool + 's) -> Self {
        Self(Expr::Leaf(Leaf::By(Rc::new(f))))
    }

    /// The parameters of a set, as far as the net uses them.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), Linear::new(&mut params, 8, 1, &mut rng));
    /// let head = net.select(&params, "1")?;
    /// assert_eq!(net.select(&params, Select::all().except(Select::ids(&head)))?, net.select(&params, "0")?);
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn ids(ids: &'s Selection) -> Self {
        Self(Expr::Leaf(Leaf::Ids(Cow::Borrowed(ids))))
    }

    /// What one of the two selects, or both.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), Linear::new(&mut params, 8, 1, &mut rng));
    /// assert_eq!(net.select(&params, Select::path("0").or("1.bias"))?.len(), 3);
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn or(self, other: impl Into<Select<'s>>) -> Self {
        Self(Expr::Or(vec![self.0, other.into().0]))
    }

    /// What both select.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), LayerNorm::new(&mut params, 8));
    /// assert_eq!(net.select(&params, Select::kind("Linear").and("**.bias"))?.len(), 1);
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn and(self, other: impl Into<Select<'s>>) -> Self {
        Self(Expr::And(Box::new([self.0, other.into().0])))
    }

    /// What the first selects and the other does not.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), Linear::new(&mut params, 8, 1, &mut rng));
    /// let rest = Select::all().except("1").except("0.bias");
    /// assert_eq!(net.select(&params, rest)?.iter().collect::<Vec<_>>(), [net.0.weight]);
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn except(self, other: impl Into<Select<'s>>) -> Self {
        Self(Expr::Except(Box::new([self.0, other.into().0])))
    }
}

/// As it would be written: what errors call it.
impl fmt::Display for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Select({self})")
    }
}

impl fmt::Display for Expr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Leaf(leaf) => leaf.fmt(f),
            Self::Not(of) => write!(f, "!{of}"),
            Self::Or(parts) => {
                f.write_str("(")?;
                for (i, part) in parts.iter().enumerate() {
                    write!(f, "{}{part}", if i == 0 { "" } else { " or " })?;
                }
                f.write_str(")")
            }
            Self::And(parts) => write!(f, "({} and {})", parts[0], parts[1]),
            Self::Except(parts) => write!(f, "({} except {})", parts[0], parts[1]),
        }
    }
}

impl fmt::Display for Leaf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(text) | Self::Glob(text) => f.write_str(text),
            Self::Regex(text) => write!(f, "/{text}/"),
            Self::Kind(kind) => write!(f, "type:{kind}"),
            Self::Type { name, .. } => write!(f, "type:{name}"),
            Self::By(_) => f.write_str("a predicate"),
            Self::Ids(ids) => write!(f, "a set of {} ids", ids.len()),
        }
    }
}
